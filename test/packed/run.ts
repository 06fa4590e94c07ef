import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Installs the packed edge as a device would, outside the repository: edge, one runtime, one transport. Fails when a
 * package of the cloud came along, when an entry cannot be imported, or when the command does not start.
 */
const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..')
const PACKED = ['core', 'edge', 'runtimes/onnx-node', 'plugins/transport-mqtt']
const ENTRIES = ['@tideway/core', '@tideway/edge', '@tideway/runtime-onnx-node', '@tideway/transport-mqtt']
const CLOUD_ONLY = [
  'hono',
  '@grpc/grpc-js',
  'drizzle-orm',
  '@electric-sql/pglite',
  'pg',
  'aedes',
  '@nats-io/transport-node',
  '@tideway/cloud',
  '@bufbuild/protobuf',
  'vitest',
  'csv-parse',
  'sharp',
  '@tensorflow/tfjs-core',
]

const dir = mkdtempSync(join(tmpdir(), 'tideway-packed-'))
const npm = (args: string[], cwd: string) =>
  execFileSync('npm', args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
    shell: process.platform === 'win32',
  })
try {
  for (const workspace of PACKED) npm(['pack', '--silent', '--pack-destination', dir], join(root, workspace))
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'device', private: true, type: 'module' }))
  const archives = readdirSync(dir)
    .filter((name) => name.endsWith('.tgz'))
    .map((name) => `./${name}`)
  npm(['install', '--no-audit', '--no-fund', '--omit=dev', ...archives], dir)

  const strangers = CLOUD_ONLY.filter((name) => existsSync(join(dir, 'node_modules', name)))
  if (strangers.length > 0) throw new Error(`a device got packages of the cloud: ${strangers.join(', ')}`)
  for (const entry of ENTRIES)
    execFileSync(process.execPath, ['--input-type=module', '-e', `await import('${entry}')`], { cwd: dir })
  const help = execFileSync(process.execPath, [join(dir, 'node_modules/@tideway/edge/dist/bin.js'), 'run', '--help'], {
    encoding: 'utf8',
  })
  if (!help.includes('--device')) throw new Error('tideway-edge run --help does not tell about --device')
  const packages =
    execFileSync('npm', ['ls', '--all', '--parseable'], {
      cwd: dir,
      encoding: 'utf8',
      shell: process.platform === 'win32',
    })
      .trim()
      .split('\n').length - 1
  console.log(`a device installs ${packages} packages: ${ENTRIES.join(', ')} and what they need, nothing of the cloud`)
} finally {
  rmSync(dir, { recursive: true, force: true })
}
