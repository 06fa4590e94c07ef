import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type CloudConfig, cloudConfigSchema, issuesOf, type PipelineConfig } from '@tideway/core'
import { createJiti } from 'jiti'
import { cloudErrors } from '../errors.js'

const CONFIG_FILES = ['tideway.config.ts', 'tideway.config.mts', 'tideway.config.js', 'tideway.config.mjs']

/** Imports a TypeScript or JavaScript module's default export. Throws `FILE_NOT_LOADED`. */
async function importDefault(file: string): Promise<unknown> {
  const jiti = createJiti(import.meta.url, { moduleCache: false })
  try {
    return await jiti.import(resolve(file), { default: true })
  } catch (cause) {
    throw cloudErrors.FILE_NOT_LOADED({ file, reason: firstLine(cause) }, cause)
  }
}

/** The configuration in `file`, or in the working directory's `tideway.config.*`, or none. Throws `FILE_NOT_LOADED`, `CONFIG_INVALID`. */
export async function loadConfig(file?: string): Promise<CloudConfig> {
  const found = file ?? CONFIG_FILES.find((name) => existsSync(name))
  if (found === undefined) return {}
  const config = await importDefault(found)
  if (typeof config !== 'object' || config === null)
    throw cloudErrors.CONFIG_INVALID({ file: found, reason: 'the default export is not an object' })
  return checkConfig(config, found)
}

/** Narrows a configuration that came from `source`; throws `CONFIG_INVALID` naming every bad field. */
function checkConfig(config: unknown, source: string): CloudConfig {
  const { data, error } = cloudConfigSchema.safeParse(config)
  if (error) throw cloudErrors.CONFIG_INVALID({ file: source, reason: issuesOf(error).join('; ') }, error)
  return data
}

/** The pipeline that a file defines. Throws `FILE_NOT_LOADED`, `PIPELINE_INVALID`. */
export async function loadPipeline(file: string): Promise<PipelineConfig> {
  const pipeline = await importDefault(file)
  const fields: Partial<PipelineConfig> = typeof pipeline === 'object' && pipeline !== null ? pipeline : {}
  const issues = [
    typeof fields.model !== 'string' && 'model: must be a string',
    typeof fields.data !== 'function' && 'data: must be a function',
    ...subjectIssues(fields),
  ].filter((issue) => issue !== false)
  if (issues.length > 0) throw cloudErrors.PIPELINE_INVALID({ file, reason: issues.join('; ') })
  const { base, distillation } = fields
  const beside = <T extends { readonly model: string | Uint8Array }>(given: T): T =>
    typeof given.model === 'string' ? { ...given, model: resolve(dirname(file), given.model) } : given
  return {
    ...fields,
    ...(base && { base: beside(base) }),
    ...(distillation && { distillation: beside(distillation) }),
  } as PipelineConfig
}

/** Exactly one of network and base is there. */
function subjectIssues({ network, base }: Partial<PipelineConfig>): string[] {
  if (network === undefined && base === undefined) return ['network: must be an object (or base, an ONNX model)']
  if (network !== undefined && base !== undefined) return ['network: cannot be given beside base']
  if (base === undefined) return typeof network === 'object' ? [] : ['network: must be an object']
  const model: unknown = typeof base === 'object' ? (base as { model?: unknown } | null)?.model : undefined
  return typeof model === 'string' || model instanceof Uint8Array ? [] : ['base.model: must be a path or bytes']
}

/** What went wrong, without the loader's stack of files. */
function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return (message.split('\n')[0] ?? message).replace(/^undefined: /, '')
}
