import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startTideway, tideway } from '../support/command.js'
import { callGrpc } from '../support/grpc-call.js'
import { START_MS, startCloud, startLoop } from '../support/loop.js'
import { startPostgres } from '../support/postgres.js'
import { describeWithServer } from '../support/servers.js'
import { BLOBS, train } from '../support/traffic.js'

let dir: string

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-e2e-up-'))
})
afterEach(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }))

describe('`tideway up`', () => {
  it('reads the configuration of the working directory, or none; tells a person where it is, and others that it has no API', async () => {
    await writeFile(join(dir, 'tideway.config.ts'), `export default { roles: ['montor'], prot: 1 }`)
    const refused = await tideway(['up'], { cwd: dir })
    expect(refused.code).toBe(1)
    expect(refused.output).toMatch(/^CONFIG_INVALID: .*roles\.0: .*"monitor".*"prot"/)

    const up = startTideway(['up', '--no-config', '--roles', 'monitor', '--mqtt-port', '0', '--dir', dir], { cwd: dir })
    try {
      await up.waitForLine(/^Tideway runs, without the HTTP API, in /, START_MS)
      await up.waitForLine(/^ {2}Ctrl-C stops it$/)
      const asked = await tideway(['models', '--dir', dir, '--json'])
      expect(asked).toMatchObject({ code: 1, json: { error: { code: 'CLOUD_NOT_RUNNING' } } })
    } finally {
      await up.kill('SIGINT')
    }
    expect(await up.exited).toBe(0)
  }, 300_000)

  it('answers inference over gRPC where it is asked to, and says where', async () => {
    const ports = ['--port', '0', '--grpc', '0', '--mqtt-port', '0']
    const up = startTideway(['up', '--json', '--no-config', '--roles', 'api', ...ports, '--dir', dir])
    try {
      const line = await up.waitForLine(/^\{"ready":true/, START_MS)
      const { grpcUrl } = JSON.parse(line) as { grpcUrl: string }
      expect(grpcUrl).toMatch(/^grpc:\/\/127\.0\.0\.1:\d+$/)
      // Field 1, `ready`: true.
      expect(await callGrpc(grpcUrl, 'ServerReady')).toEqual(Buffer.from([0x08, 0x01]))
    } finally {
      await up.kill('SIGINT')
    }
    expect(await up.exited).toBe(0)
  }, 300_000)

  it('ends where a port is taken, and says by which option it gets another', async () => {
    const first = startTideway(['up', '--json', '--no-config', '--port', '0', '--mqtt-port', '0', '--dir', dir])
    try {
      const line = await first.waitForLine(/^\{"ready":true/, START_MS)
      const { port } = new URL((JSON.parse(line) as { mqttUrl: string }).mqttUrl)
      const other = ['--port', '0', '--mqtt-port', port, '--dir', join(dir, 'other')]
      const second = await tideway(['up', '--no-config', ...other])
      expect([second.code, second.output]).toEqual([1, expect.stringMatching(/BROKER_LISTEN_FAILED: .*--mqtt-port/)])
    } finally {
      await first.kill('SIGINT')
    }
  }, 300_000)

  it('refuses what does not go together: two transports, a trainer with nobody to work for, chunks without a server', async () => {
    const here = ['up', '--json', '--dir', join(dir, 'never-made')]
    for (const [args, code] of [
      [['--nats', 'nats://a', '--mqtt', 'mqtt://b'], 'UP_ORDER_INVALID'],
      [['--cloud', 'somewhere'], 'UP_ORDER_INVALID'],
      [['--roles', 'trainer', '--nats', 'nats://a'], 'TRAINER_INCOMPLETE'],
      [['--chunks-dir', dir], 'PLUGIN_OPTIONS_INVALID'],
    ] as const)
      expect(await tideway([...here, ...args])).toMatchObject({ code: 1, json: { error: { code } } })
  }, 300_000)
})

describeWithServer('nats-server', 'a process with the role trainer alone', (natsServer) => {
  it('works for the cloud that it is told of', async () => {
    const loop = await startLoop({ natsServer, roles: ['api', 'controller'] })
    try {
      const wire = ['--nats', loop.nats!.url, '--cloud', loop.cloud.url]
      const trainer = startTideway(['up', '--json', '--no-config', '--roles', 'trainer', '--dir', dir, ...wire])
      loop.defer(() => trainer.kill())
      await trainer.waitForLine(/^\{"ready":true/, START_MS)
      const { version } = await train(loop.cloud.url, BLOBS)
      expect((await loop.client.version('blobs', 'latest')).version.manifestDigest).toBe(version.manifestDigest)
      await trainer.waitForLine(/"job finished"/)
    } finally {
      await loop.close()
    }
  }, 300_000)
})

describeWithServer('postgres', 'two processes on one PostgreSQL', (path) => {
  it('share the registry, and the chunks in one folder', async () => {
    const postgres = await startPostgres(path)
    const [chunks, dirs] = [join(dir, 'chunks'), [join(dir, 'first'), join(dir, 'second')] as const]
    const clouds: Awaited<ReturnType<typeof startCloud>>[] = []
    try {
      for (const [i, roles] of [['api', 'controller', 'monitor', 'trainer'], ['api']].entries()) {
        const args = ['--no-config', '--chunks-dir', chunks, '--dir', dirs[i]!]
        clouds.push(await startCloud({ dir, postgres: postgres.url, roles, args }))
      }
      const [first, second] = clouds.map(({ client }) => client)
      const { version } = await train(clouds[0]!.url, BLOBS)
      const { manifest } = await second!.version('blobs', 'latest')
      const sizes = manifest.variants.flatMap(({ files }) => files.flatMap((file) => file.chunks))
      for (const { sha256, size } of sizes) expect((await second!.getChunk(sha256)).byteLength).toBe(size)
      expect((await second!.version('blobs', 'latest')).version.manifestDigest).toBe(version.manifestDigest)
      await second!.setAlias('blobs', 'champion', version.version)
      expect((await first!.version('blobs', 'champion')).version.version).toBe(version.version)
    } finally {
      for (const cloud of clouds) await cloud.stop()
      await postgres.close()
    }
  }, 300_000)
})
