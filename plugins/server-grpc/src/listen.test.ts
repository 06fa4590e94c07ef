import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { credentials, status } from '@grpc/grpc-js'
import { createHost, definePlugin, openAccess, Statistics, silentLogger, tokens } from '@tideway/core'
import { echoServing, specOf } from '@tideway/test/support/echo-serving'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Health } from './generated/health_pb.js'
import { GRPCInferenceService } from './generated/inference_pb.js'
import { ServerReflection } from './generated/reflection_pb.js'
import { floats, rawRequest } from './infer.fixture.js'
import { listen } from './listen.js'
import { optionsSchema } from './options.js'
import { serverGrpc } from './plugin.js'
import { type Rig, refusalOf, startRig } from './rig.fixture.js'

const { method } = GRPCInferenceService
const KEY = 'a-key-that-is-long-enough'
const services = { statistics: new Statistics(), logger: silentLogger, access: openAccess }
const rigs: Rig[] = []
afterEach(async () => {
  await Promise.all(rigs.splice(0).map((rig) => rig.stop()))
})

function echo() {
  const serving = echoServing()
  serving.takes(specOf('x', 'float32'))
  return serving
}

async function rigOf(...[given, options, creds]: Parameters<typeof startRig>): Promise<Rig> {
  const rig = await startRig(given, options, creds)
  rigs.push(rig)
  return rig
}

const request = rawRequest({ x: floats(1) })

describe('an address', () => {
  it('other than loopback is refused where nobody has to say who asks', async () => {
    for (const host of ['0.0.0.0', '::', 'example.com'])
      await expect(listen(services, optionsSchema.parse({ host, port: 0 }))).rejects.toMatchObject({
        code: 'CREDENTIALS_REQUIRED',
      })
  })

  it('that is in use is told with its host and port', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    try {
      await expect(listen(services, optionsSchema.parse({ port }))).rejects.toMatchObject({
        code: 'GRPC_LISTEN_FAILED',
        data: { host: '127.0.0.1', port },
      })
    } finally {
      other.close()
    }
  })
})

describe('a key', () => {
  const given = (authorization: string) => ({ metadata: { authorization } })

  it('is asked for by every method but health', async () => {
    const rig = await rigOf({ serving: echo() }, { access: { apiKeys: [KEY] } })
    for (const wrong of [undefined, given('Bearer another-key-that-is-wrong'), given(KEY), given(`Basic ${KEY}`)])
      expect(await refusalOf(rig.call(method.modelInfer, request, wrong))).toMatchObject({
        code: status.UNAUTHENTICATED,
        tidewayCode: 'UNAUTHORIZED',
      })
    expect(await refusalOf(rig.call(method.repositoryIndex, {}))).toMatchObject({ code: status.UNAUTHENTICATED })
    expect(await rig.call(method.modelInfer, request, given(`Bearer ${KEY}`))).toMatchObject({ modelName: 'echo' })
    expect(await rig.call(method.serverReady, {})).toMatchObject({ ready: true })
    expect(await rig.call(Health.method.check, {})).toMatchObject({ status: 1 })
  })

  it('is asked for by streams, too', async () => {
    const rig = await rigOf({ serving: echo() }, { access: { apiKeys: [KEY] } })
    for (const path of [
      `/${GRPCInferenceService.typeName}/ModelStreamInfer`,
      `/${ServerReflection.typeName}/ServerReflectionInfo`,
    ]) {
      const call = rig.stream(path)
      call.resume()
      const [error] = (await once(call, 'error')) as [{ code: status }]
      expect(error.code).toBe(status.UNAUTHENTICATED)
    }
  })
})

describe('over TLS', () => {
  let dir: string
  const path = (name: string) => join(dir, name)
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'tideway-tls-'))
    await makeCertificates(dir)
  })
  afterAll(() => rm(dir, { recursive: true, force: true }))

  it('it is answered to clients that trust its certificate', async () => {
    const tls = { cert: path('server.pem'), key: path('server.key') }
    const rig = await rigOf({ serving: echo() }, { tls }, credentials.createSsl(await readFile(path('ca.pem'))))
    expect(rig.url).toMatch(/^grpcs:\/\/127\.0\.0\.1:\d+$/)
    expect(await rig.call(method.modelInfer, request)).toMatchObject({ modelName: 'echo' })
  })

  it('with a CA, clients must show a certificate of its', async () => {
    const tls = { cert: path('server.pem'), key: path('server.key'), ca: path('ca.pem') }
    const [ca, key, cert] = await Promise.all(
      ['ca.pem', 'server.key', 'server.pem'].map((name) => readFile(path(name))),
    )
    const rig = await rigOf({ serving: echo() }, { tls }, credentials.createSsl(ca!, key!, cert!))
    expect(await rig.call(method.serverLive, {})).toMatchObject({ live: true })
    const stranger = await rigOf({ serving: echo() }, { tls }, credentials.createSsl(ca!))
    const soon = { options: { deadline: Date.now() + 60_000 } }
    expect(await refusalOf(stranger.call(method.serverLive, {}, soon))).toMatchObject({ code: status.UNAVAILABLE })
  })

  it('files that cannot be used are told apart', async () => {
    await writeFile(path('no.pem'), 'nothing')
    const use = (tls: object) => listen(services, optionsSchema.parse({ port: 0, tls }))
    const missing = { cert: path('missing.pem'), key: path('server.key') }
    await expect(use(missing)).rejects.toMatchObject({ code: 'GRPC_TLS_INVALID', data: { what: 'the certificate' } })
    const wrong = { cert: path('no.pem'), key: path('server.key') }
    await expect(use(wrong)).rejects.toMatchObject({ code: 'GRPC_TLS_INVALID' })
  })
})

describe('the stop', () => {
  it('finishes what is in flight and takes nothing more', async () => {
    let go: () => void = () => undefined
    const gate = new Promise<void>((resolve) => (go = resolve))
    const infer = vi.fn(async (...call: Parameters<ReturnType<typeof echo>['infer']>) => {
      await gate
      return echo().infer(...call)
    })
    const rig = await rigOf({ serving: { ...echo(), infer } })
    const running = rig.call(method.modelInfer, request)
    await expect.poll(() => infer.mock.calls.length).toBe(1)
    rigs.splice(0)
    const stopped = rig.stopListening()
    const soon = { options: { deadline: Date.now() + 2_000 } }
    expect(await refusalOf(rig.another({}).call(method.modelInfer, request, soon))).toMatchObject({
      code: expect.toSatisfy((code: status) => code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED),
    })
    go()
    expect(await running).toMatchObject({ modelName: 'echo' })
    await stopped
    expect(infer).toHaveBeenCalledTimes(1)
    rig.client.close()
  })

  it('cuts what takes longer than its grace', async () => {
    const infer = vi.fn(() => new Promise<never>(() => undefined))
    const rig = await rigOf({ serving: { ...echo(), infer } }, { limits: { stopGraceMs: 100 } })
    const running = refusalOf(rig.call(method.modelInfer, request))
    await expect.poll(() => infer.mock.calls.length).toBe(1)
    rigs.splice(0)
    await rig.stopListening()
    expect((await running).code).not.toBe(status.OK)
    rig.client.close()
  })
})

it('the plugin serves what the host provides, and says where', async () => {
  const models = definePlugin({
    name: 'models',
    provides: [tokens.serving],
    register: (scope) => scope.provide(tokens.serving, echo),
  })
  const host = createHost()
  host.use(models(), serverGrpc({ port: 0 }))
  expect(host.get(tokens.grpcServer).url).toBeUndefined()
  await host.start()
  expect(host.get(tokens.grpcServer).url).toMatch(/^grpc:\/\/127\.0\.0\.1:\d+$/)
  await host.stop()
  expect(host.get(tokens.grpcServer).url).toBeUndefined()
})

/** A CA, and a certificate of it for loopback. */
async function makeCertificates(dir: string): Promise<void> {
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' })
  const days = ['-days', '2']
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  openssl('req', '-x509', ...curve, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=test ca', ...days)
  openssl('req', ...curve, '-keyout', 'server.key', '-out', 'server.csr', '-subj', '/CN=localhost')
  await writeFile(join(dir, 'names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost')
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', 'names']
  openssl('x509', '-req', '-in', 'server.csr', ...signed, '-out', 'server.pem', ...days)
}
