import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bench } from '../result.js'
import { type BenchModel, withModels } from '../runtimes/models.js'
import { densePart } from './dense.js'
import { checkLoad } from './load.js'
import { mlserverPart } from './mlserver.js'
import { overheadPart } from './overhead.js'
import { resnetPart } from './resnet.js'
import { numberOf, type OursOptions, type Part, type Setting } from './rounds.js'
import { startChild } from './servers.js'
import { startPart } from './start.js'
import { switchPart } from './switches.js'

const PARTS: Readonly<Record<string, (setting: Setting) => Promise<Part>>> = {
  dense: densePart,
  resnet: resnetPart,
  mlserver: mlserverPart,
  overhead: overheadPart,
  start: startPart,
  switches: switchPart,
}

/**
 * The cloud's HTTP inference against FastAPI on onnxruntime, MLServer, a bare handler and bare loops over `session.run`, on
 * the same machine as the load, in turn. `--only PART`, `--rounds N` (5), `--switches N` (1,000).
 */
export const serve: Bench = async (progress, args) => {
  const at = args.indexOf('--only')
  const chosen = Object.entries(PARTS).filter(([name]) => at < 0 || args[at + 1] === name)
  if (chosen.length === 0) throw new Error(`--only takes one of: ${Object.keys(PARTS).join(', ')}`)
  await checkLoad()
  const dir = await mkdtemp(join(tmpdir(), 'tideway-serve-'))
  try {
    return await withModels(
      async (models) => {
        const find = (name: string) => models.find((model) => model.name === name) as BenchModel
        const [dense, resnet] = [find('dense-fp32'), find('resnet-8-fp32')]
        // Two of ours that run at once each need a store of their own.
        const ours = ({ processes = 0, cores, env = {} }: OursOptions = {}) =>
          startChild(
            './tideway-child.js',
            [join(dir, env['BARE'] ?? 'cloud'), `dense=${dense.path}`, `resnet=${resnet.path}`],
            { cores, env: { ...env, PROCESSES: String(processes) } },
          )
        // Registers the models, which is no part of what is measured.
        await (await ours()).stop()
        const setting = { progress, ours, dense, resnet, rounds: numberOf(args, '--rounds', 5), args }
        const measured: Part[] = []
        for (const [, part] of chosen) measured.push(await part(setting))
        return { rows: measured.flatMap(({ rows }) => rows), checks: measured.flatMap(({ checks }) => checks) }
      },
      ['dense', 'resnet-8'],
    )
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
