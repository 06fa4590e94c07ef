import { execFile } from 'node:child_process'
import { cp, mkdir, symlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { temporary } from '../edge.fixture.js'
import { resolveFlags } from './run.js'

const good = {
  device: 'd1',
  fleet: 'f1',
  nats: 'nats://127.0.0.1:4222',
  reportEvery: '60',
  threads: '1',
  runtime: 'onnx',
}

describe('the flags of tideway-edge run', () => {
  it('mean what they say', () => {
    expect(resolveFlags(good)).toMatchObject({
      dir: join(homedir(), '.tideway', 'edge', 'f1', 'd1'),
      listen: undefined,
      reportEveryMs: 60_000,
    })
    expect(resolveFlags({ ...good, listen: '[::1]:80', reportEvery: '0.5', dir: '/x' })).toMatchObject({
      dir: '/x',
      listen: { host: '::1', port: 80 },
      reportEveryMs: 500,
    })
  })

  it('are refused with every bad one named', () => {
    const bad = {
      ...good,
      cloud: 'not a url',
      listen: '127.0.0.1',
      reportEvery: 'soon',
      threads: '0',
      runtime: 'torch',
    }
    expect(() => resolveFlags(bad)).toThrowError(
      expect.objectContaining({
        code: 'EDGE_OPTIONS_INVALID',
        data: {
          issues: [
            expect.stringMatching(/^--report-every/),
            expect.stringMatching(/^--threads/),
            expect.stringMatching(/^--runtime: is none of onnx, tfjs/),
            expect.stringMatching(/^--cloud, --nats/),
            expect.stringMatching(/^--cloud: /),
            expect.stringMatching(/^--listen/),
          ],
        },
      }),
    )
    for (const port of ['99999', '-1', 'x']) {
      expect(() => resolveFlags({ ...good, listen: `127.0.0.1:${port}` })).toThrow(/--listen/)
    }
    expect(() => resolveFlags({ ...good, device: 'No Spaces' })).toThrowError(
      expect.objectContaining({ code: 'NAME_INVALID' }),
    )
  })
})

describe('a device without plugins', () => {
  it('names the package that is missing and the command that installs it', async () => {
    // This package as built, beside its two dependencies and nothing else.
    const modules = join(await temporary(), 'node_modules')
    const workspace = fileURLToPath(new URL('../..', import.meta.url))
    await mkdir(join(modules, '@tideway'), { recursive: true })
    await cp(join(workspace, 'dist'), join(modules, '@tideway', 'edge', 'dist'), { recursive: true })
    await cp(join(workspace, 'package.json'), join(modules, '@tideway', 'edge', 'package.json'))
    await symlink(join(workspace, '..', 'core'), join(modules, '@tideway', 'core'))
    await symlink(join(workspace, '..', 'node_modules', 'commander'), join(modules, 'commander'))
    const bin = join(modules, '@tideway', 'edge', 'dist', 'bin.js')
    const args = [bin, 'run', '--device', 'd1', '--fleet', 'f1', '--nats', 'nats://127.0.0.1:1']
    const failed: unknown = await promisify(execFile)(process.execPath, args).catch((error: unknown) => error)
    expect(failed).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(
        /^PLUGIN_NOT_INSTALLED: .*`ONNXRUNTIME_NODE_INSTALL=skip npm install @tideway\/runtime-onnx-node`/,
      ) as string,
    })
    const tfjs = promisify(execFile)(process.execPath, [...args, '--runtime', 'tfjs'])
    await expect(tfjs).rejects.toMatchObject({
      stderr: expect.stringMatching(/^PLUGIN_NOT_INSTALLED: .*`npm install @tideway\/runtime-tfjs`/) as string,
    })
  })
})
