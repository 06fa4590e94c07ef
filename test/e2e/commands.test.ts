import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tideway, tidewayJson } from '../support/command.js'
import { type Loop, startLoop } from '../support/loop.js'
import { BLOBS, type TrainedVersion } from '../support/traffic.js'

const ELECTRICITY = fileURLToPath(new URL('../../examples/electricity/src/pipeline.ts', import.meta.url))
const ROWS = 2_000

/** Half-hours of a market: demand by the time of day, prices that follow it, `class` 1 above the last day's mean. */
function electricityCsv(rows: number): string {
  let state = 1
  const noise = () => {
    state = (Math.imul(state, 48_271) >>> 0) % 2_147_483_647
    return state / 2_147_483_647 - 0.5
  }
  const prices: number[] = []
  const lines = ['period,nswprice,nswdemand,vicprice,vicdemand,transfer,class']
  for (let row = 0; row < rows; row += 1) {
    const period = (row % 48) / 47
    const demand = 0.45 + 0.25 * Math.sin(2 * Math.PI * (period - 0.3)) + 0.05 * noise()
    const price = Math.max(0, 0.02 + 0.1 * demand + 0.02 * noise())
    prices.push(price)
    const day = prices.slice(-48)
    const mean = day.reduce((sum, value) => sum + value, 0) / day.length
    const values = [period, price, demand, 0.9 * price, 0.42 + 0.1 * noise(), 0.5 + 0.1 * noise()]
    lines.push([...values.map((value) => value.toFixed(6)), price > mean ? 1 : 0].join(','))
  }
  return `${lines.join('\n')}\n`
}

describe('help', () => {
  it('is there for the command and for each of its parts, with what they take', async () => {
    const whole = await tideway(['--help'])
    expect(whole.code).toBe(0)
    const parts = [
      'quickstart',
      'up',
      'down',
      'train',
      'finetune',
      'predict',
      'trainer',
      'jobs',
      'models',
      'deploy',
      'devices',
      'drift',
    ]
    for (const part of parts) expect(whole.output).toMatch(new RegExp(`^  ${part} `, 'm'))
    expect(whole.output).toContain('Start here:')
    const takes: Record<string, string[]> = {
      quickstart: ['--devices <n>', '--seed <n>', '--transport <name>', '--keep', '--json'],
      up: [
        '--roles <list>',
        '--no-config',
        '--nats <url>',
        '--mqtt <url>',
        '--chunks-dir <dir>',
        '--json',
        'Examples:',
      ],
      train: ['<pipeline>', '--data <path>', '--seed <n>', '--epochs <n>', 'Examples:'],
      finetune: ['<model.onnx>', '--data <path>', '--head <classes=N|outputs=N>', '--freeze <pattern...>', 'Examples:'],
      trainer: ['--nats <url>', '--cloud <url>', '--ack-wait <seconds>', '--json', 'Example:'],
      deploy: ['<model:version>', '--fleet <fleet>', '--device <id...>', 'Example:'],
      drift: ['--model <model>', '--fleet <fleet>', '--cloud <url>', '--json'],
    }
    for (const part of parts) {
      const { code, output } = await tideway([part, '--help'])
      expect(code).toBe(0)
      expect(output).toMatch(new RegExp(`^Usage: tideway ${part}`))
      for (const text of takes[part] ?? ['--dir <dir>', '--json']) expect(output).toContain(text)
    }
  })

  it('is shown, with what was wrong, for commands and options that there are not', async () => {
    for (const [args, says] of [
      [['trian'], /unknown command 'trian'.*\n?.*train/],
      [['up', '--prot', '1'], /unknown option '--prot'/],
      [['deploy', 'm:1'], /required option '--fleet <fleet>'/],
    ] as const) {
      const { code, output } = await tideway([...args])
      expect(code).toBe(1)
      expect(output).toMatch(says)
      expect(output).toContain('(see --help)')
    }
  })
})

describe('options of `tideway up`', () => {
  it('are refused where they mean nothing, before anything is made', async () => {
    const dir = join(tmpdir(), `tideway-never-made-${process.pid}`)
    for (const [flag, value, says] of [
      ['--port', '65536', 'a port is 0 to 65535'],
      ['--port', 'http', 'a port is 0 to 65535'],
      ['--port', '', 'a port is 0 to 65535'],
      ['--mqtt-port', '-1', 'a port is 0 to 65535'],
      ['--roles', 'api,king', 'no such role: king; there is api, monitor, controller, trainer'],
      ['--roles', '', 'no such role'],
    ] as const) {
      const { code, output } = await tideway(['up', '--dir', dir, `${flag}=${value}`])
      expect(code, `${flag} ${value}`).toBe(1)
      expect(output).toContain(says)
    }
    expect(existsSync(dir)).toBe(false)
  })

  it('refuse a configuration file that is none, and addresses open to others without API keys', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'tideway-config-'))
    try {
      const config = join(dir, 'tideway.config.ts')
      await writeFile(config, 'export default 7')
      expect(await tideway(['up', '--dir', dir, '--config', config])).toMatchObject({
        code: 1,
        output: expect.stringMatching(/^CONFIG_INVALID: .*the default export is not an object/) as string,
      })
      const open = await tideway(['up', '--dir', dir, '--host', '0.0.0.0', '--port', '0', '--mqtt-port', '0'])
      expect(open.code).toBe(1)
      expect(open.output).toMatch(/CREDENTIALS_REQUIRED: .*0\.0\.0\.0.*tideway keys create/)
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})

describe('commands on a running cloud', () => {
  let loop: Loop
  let folder: string
  const run = (...args: string[]) => tideway([...args, '--dir', loop.cloud.dir, '--json'])
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }

  beforeAll(async () => {
    loop = await startLoop({ roles: ['api', 'monitor', 'controller', 'trainer'] })
    folder = await loop.folder()
  })
  afterAll(() => loop.close())

  it('train a pipeline on the rows of a CSV; the same again is the same version', async () => {
    const data = await file('elec.csv', electricityCsv(ROWS))
    const args = ['train', ELECTRICITY, '--data', data, '--dir', loop.cloud.dir]
    const first = await tidewayJson<TrainedVersion & Record<string, unknown>>(args)
    expect(first).toMatchObject({
      model: 'electricity',
      created: true,
      version: { model: 'electricity', version: 1 },
      train: { rows: 1_400, epochs: 20 },
    })
    const accuracy = (first.evaluation as Record<string, { accuracy: number }>).int8?.accuracy
    expect(accuracy).toBeGreaterThan(0.75)
    const again = await tidewayJson<TrainedVersion>(args)
    expect(again).toMatchObject({ created: false, version: first.version, variantDigests: first.variantDigests })
    expect(again.job).not.toBe(first.job)
    const other = await tidewayJson<TrainedVersion>([...args, '--seed', '2', '--epochs', '5'])
    expect(other).toMatchObject({ created: true, version: { version: 2 }, train: { epochs: 5 } })
    const table = await tideway(args)
    expect(table.output).toMatch(/the same bytes as before: electricity:1/)
    expect(table.output).toMatch(/^training epoch \d+\/20 loss /m)
    const { manifest } = await loop.client.version('electricity', 'latest')
    expect(manifest.profile?.statistics.map(({ name }) => name)).toContain('feature.nswprice')
  }, 300_000)

  it('predict the rows of a file by a version in the cloud, its columns found by their names', async () => {
    const [header = '', ...rows] = electricityCsv(ROWS).trimEnd().split('\n')
    // In another order, with a column more.
    const turned = [header, ...rows].map((line, at) =>
      [at === 0 ? 'id' : `h${at}`, ...line.split(',').reverse()].join(),
    )
    const input = await file('turned.csv', `${turned.join('\n')}\n`)
    const output = join(folder, 'answers.csv')
    const done = await run('predict', 'electricity:1', '--input', input, '--output', output, '--keep', 'id,class')
    expect(done).toMatchObject({
      code: 0,
      json: { rows: ROWS, skipped: 0, columns: expect.arrayContaining(['id', 'class', 'prediction']) as string[] },
    })
    const [names = '', ...answers] = (await readFile(output, 'utf8')).trimEnd().split('\n')
    const [truth, said] = ['class', 'prediction'].map((name) => names.split(',').indexOf(name)) as [number, number]
    const classes = (await loop.client.version('electricity', 1)).manifest.classes ?? []
    const right = answers.filter(
      (line) => classes.indexOf(line.split(',')[said] ?? '') === Number(line.split(',')[truth]),
    )
    expect(right.length / ROWS).toBeGreaterThan(0.7)
    expect(await run('predict', 'electricity:9', '--input', input, '--output', output)).toMatchObject({
      code: 1,
      json: { error: { code: 'VERSION_NOT_FOUND' } },
    })
  }, 300_000)

  it('name what is wrong with a CSV, by line and column', async () => {
    const lines = electricityCsv(30).trimEnd().split('\n')
    lines[3] = lines[3]!.replace(/,[^,]*,/, ',cheap,')
    const bad = await run('train', ELECTRICITY, '--data', await file('bad.csv', lines.join('\n')))
    expect(bad).toMatchObject({ code: 1, json: { error: { code: 'CSV_INVALID' } } })
    expect(bad.output).toContain('line 4, nswprice: text, must be a number')
    expect(bad.output).not.toContain('cheap')
    expect(await run('train', ELECTRICITY)).toMatchObject({ code: 1, json: { error: { code: 'CSV_INVALID' } } })
  })

  it('refuse a file that is no pipeline', async () => {
    for (const [text, says] of [
      [
        'export default { model: 7 }',
        'model: must be a string; data: must be a function; network: must be an object (or base, an ONNX model)',
      ],
      ['export const pipeline = 1', 'model: must be a string'],
    ] as const) {
      const { code, json, output } = await run('train', await file('broken.ts', text))
      expect({ code, json }).toMatchObject({ code: 1, json: { error: { code: 'PIPELINE_INVALID' } } })
      expect(output).toContain(says)
    }
    const missing = await run('train', join(folder, 'nowhere.ts'))
    expect(missing).toMatchObject({ code: 1, json: { error: { code: 'FILE_NOT_LOADED' } } })
    const text = `import blobs from ${JSON.stringify(BLOBS)}
export default { ...blobs, model: 'Not An Id', batchSize: 0, optimizer: { type: 'adam', learningRate: -1 } }`
    const fields = await run('train', await file('fields.ts', text))
    expect(fields).toMatchObject({ code: 1, json: { error: { code: 'INPUT_REJECTED' } } })
    for (const field of ['model: ', 'batchSize: ', 'optimizer.learningRate: ']) expect(fields.output).toContain(field)
  })

  it('fail with the gate that did not hold, and register nothing', async () => {
    const text = `import blobs from ${JSON.stringify(BLOBS)}
const toss = (dataset) => {
  dataset.targets.data.forEach((_, i) => { dataset.targets.data[i] = Math.imul(i, 2654435761) >>> 31 })
  return dataset
}
export default { ...blobs, model: 'gated', data: () => toss(blobs.data({})), gates: { minAccuracy: 0.97 } }`
    const failed = await run('train', await file('gated.ts', text))
    expect(failed).toMatchObject({ code: 1, json: { error: { code: 'JOB_FAILED', data: { code: 'GATE_FAILED' } } } })
    expect(failed.output).toMatch(/minAccuracy: 0\.\d+ against 0\.97/)
    expect((await loop.client.models()).map(({ name }) => name)).not.toContain('gated')
    const { jobs } = await tidewayJson<{ jobs: object[] }>(['jobs', '--dir', loop.cloud.dir])
    expect(jobs[0]).toMatchObject({ model: 'gated', status: 'failed', error: { code: 'GATE_FAILED' } })
  }, 300_000)

  it('answer with the code of what the cloud refuses', async () => {
    expect(await run('deploy', 'nothing:1', '--fleet', 'shop')).toMatchObject({
      code: 1,
      json: { error: { code: 'MODEL_NOT_FOUND' } },
    })
    expect(await run('deploy', 'electricity:99', '--fleet', 'shop')).toMatchObject({
      code: 1,
      json: { error: { code: 'VERSION_NOT_FOUND' } },
    })
    expect(await run('deploy', 'electricity:1', '--fleet', 'No Spaces')).toMatchObject({ code: 1 })
  })

  it('do not start a second cloud on the same directory, nor use it for a quickstart', async () => {
    const { dir, pid, client } = loop.cloud
    const args = ['up', '--dir', dir, '--port', '0', '--mqtt-port', '0']
    expect(await tideway(args)).toMatchObject({
      code: 1,
      output: expect.stringMatching(new RegExp(`^CLOUD_ALREADY_RUNNING: process ${pid} `)) as string,
    })
    expect(await tideway(['quickstart', '--dir', dir, '--json'])).toMatchObject({
      code: 1,
      json: { error: { code: 'CLOUD_ALREADY_RUNNING', data: { pid } } },
    })
    // Without the file that says so, the store's own lock holds.
    await rm(join(dir, 'cloud.json'))
    const locked = await tideway(args)
    expect(locked.code).toBe(1)
    expect(locked.output).toMatch(new RegExp(`because STORE_LOCKED: .*${pid}`))
    expect(await client.live()).toBe(true)
  }, 300_000)

  it('say that no cloud runs where none does, and that one does not answer', async () => {
    for (const command of [
      ['models'],
      ['devices'],
      ['drift'],
      ['jobs'],
      ['deploy', 'm:1', '--fleet', 'f'],
      ['train', BLOBS],
    ]) {
      const { code, json } = await tideway([...command, '--dir', folder, '--json'])
      expect({ code, json }).toMatchObject({ code: 1, json: { error: { code: 'CLOUD_NOT_RUNNING' } } })
    }
    expect(await tideway(['models', '--cloud', 'http://127.0.0.1:1', '--json'])).toMatchObject({
      code: 1,
      json: { error: { code: 'CLOUD_UNREACHABLE' } },
    })
    expect(await tideway(['models', '--cloud', 'somewhere', '--json'])).toMatchObject({
      code: 1,
      json: { error: { code: 'CLOUD_URL_INVALID' } },
    })
    expect(await tideway(['down', '--dir', folder, '--json'])).toMatchObject({ code: 0, json: { stopped: [] } })
  })
})
