import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folders = ['core', 'edge', 'cloud', 'cloud/client', ...children('runtimes'), ...children('plugins')]

function children(folder: string): string[] {
  return readdirSync(join(root, folder)).map((name) => `${folder}/${name}`)
}

interface Package {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

function packageOf(folder: string): Package {
  return JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8')) as Package
}

/** Imports of source files, tests and fixtures left out. */
function importsOf(folder: string): Set<string> {
  const files = readdirSync(join(root, folder, 'src'), { recursive: true, encoding: 'utf8' })
  const sources = files.filter((file) => file.endsWith('.ts') && !/\.(test|fixture)\.ts$/.test(file))
  const found = sources.flatMap((file) => {
    const text = readFileSync(join(root, folder, 'src', file), 'utf8')
    const names = [
      ...text.matchAll(/^(?:import|export)\b[^'"]*?from '([^'.][^']*)'/gm),
      ...text.matchAll(/^import '([^'.][^']*)'/gm),
    ]
    return names.map(([, name]) => name!)
  })
  return new Set(
    found
      // Names with # are a package's own (`imports` in its package.json).
      .filter((name) => !name.startsWith('node:') && !name.startsWith('#'))
      .map((name) =>
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
      ),
  )
}

/** Prints the files that the packages, or files, named behind it load. */
const LOADED = `
  import { register } from 'node:module'
  import { pathToFileURL } from 'node:url'
  const { port1, port2 } = new MessageChannel()
  const loaded = []
  port1.on('message', (url) => loaded.push(url))
  register('data:text/javascript,' + encodeURIComponent(\`
    let port
    export const initialize = (given) => void (port = given)
    export const load = (url, context, next) => (port.postMessage(url), next(url, context))
  \`), { data: port2, transferList: [port2] })
  for (const name of process.argv.slice(1)) await import(name.startsWith('.') ? pathToFileURL(name) : name)
  setImmediate(() => {
    port1.close()
    process.stdout.write(loaded.join('\\n'))
  })
`

describe('the packages', () => {
  it('can each be imported in a fresh process', async () => {
    for (const folder of folders)
      await promisify(execFile)(
        process.execPath,
        ['--input-type=module', '-e', `await import('${packageOf(folder).name}')`],
        { cwd: root },
      )
  }, 120_000)

  it('spare a process that only runs models the schemas and the container', async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', LOADED, '@tideway/runtime-onnx-node', '@tideway/runtime-onnx-web'],
      { cwd: root },
    )
    expect(stdout.trim().split('\n')).toEqual(expect.arrayContaining([expect.stringContaining('core/dist/errors.js')]))
    expect(stdout).not.toMatch(/node_modules\/(zod|tsyringe|reflect-metadata|protobufjs)\//)
  })

  it('spare a process that answers for the versions of a store all but their manifests and policies', async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', LOADED, './cloud/dist/serving/stored-service.js', '@tideway/server-http/listen'],
      { cwd: root },
    )
    expect(stdout).toMatch(/core\/dist\/versions\/index\.js/)
    expect(stdout).not.toMatch(
      /core\/dist\/index\.js|node_modules\/(tsyringe|reflect-metadata|protobufjs|hono|prom-client)\//,
    )
  })

  it('spare a process that answers for files all but what it answers with', async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', LOADED, '@tideway/runtime-onnx-node', './cloud/dist/commands/serve.js'],
      { cwd: root },
    )
    const files = stdout.trim().split('\n')
    expect(files).toEqual(expect.arrayContaining([expect.stringContaining('core/dist/serving/index.js')]))
    // Of others, commander reads the command line alone, and is there before this.
    expect(files.filter((file) => file.includes('node_modules/'))).toEqual([])
    expect(files.filter((file) => file.includes('core/dist/index.js'))).toEqual([])
    // Each takes some tenths of a millisecond.
    expect(files.length).toBeLessThan(130)
  })

  it('declare what they import', () => {
    for (const folder of folders) {
      const { dependencies = {}, peerDependencies = {} } = packageOf(folder)
      const undeclared = [...importsOf(folder)].filter((name) => !(name in dependencies) && !(name in peerDependencies))
      expect(undeclared, folder).toEqual([])
    }
  })

  it('point their arrows one way: plugins and runtimes to core, trainers to what they share, core to nothing of ours', () => {
    const allowed = (folder: string) => {
      if (folder === 'core') return []
      if (folder.startsWith('cloud')) return undefined
      const training = ['@tideway/core', '@tideway/onnx', '@tideway/training']
      if (folder === 'runtimes/training') return ['@tideway/core', '@tideway/onnx']
      if (folder === 'plugins/trainer-onnx') return training
      // The backend that TensorFlow.js computes on is the process's: one place switches between them.
      if (folder === 'plugins/trainer-tfjs') return [...training, '@tideway/runtime-tfjs']
      return ['@tideway/core']
    }
    for (const folder of folders) {
      const limit = allowed(folder)
      if (!limit) continue
      const ours = [...importsOf(folder)].filter((name) => name.startsWith('@tideway/'))
      expect(
        ours.filter((name) => !limit.includes(name)),
        folder,
      ).toEqual([])
    }
  })

  it('let one file only know the container', () => {
    const knowing = folders.flatMap((folder) =>
      readdirSync(join(root, folder, 'src'), { recursive: true, encoding: 'utf8' })
        .filter(
          (file) =>
            file.endsWith('.ts') && readFileSync(join(root, folder, 'src', file), 'utf8').includes("from 'tsyringe'"),
        )
        .map((file) => `${folder}/src/${file}`),
    )
    expect(knowing).toEqual(['core/src/plugin/container.ts'])
  })
})
