import { canonicalJson, sha256Hex, type TrainJob } from '@tideway/core'
import { errors } from './errors.js'
import { elements } from './layout.js'
import { type Packed, pack, unpack } from './pack.js'
import type { Trainable } from './trainable.js'

const FORMAT = 'tideway-checkpoint'
const VERSION = 1

/** Everything that a run needs to go on as if it had not stopped; random numbers have no state (see random.ts). */
export interface Checkpoint {
  /** The job's digest without its number of epochs: a run may go on for longer than first asked. */
  readonly job: string
  /** Epochs and steps done. */
  readonly epoch: number
  readonly step: number
  readonly rows: number
  readonly parameters: Readonly<Record<string, Float32Array>>
  /** Optimizer state by `<parameter>_<state>`. */
  readonly state: Readonly<Record<string, Float32Array>>
  readonly statistics: Readonly<Record<string, Float32Array>>
  /** The metrics of each epoch done. */
  readonly history: readonly Readonly<Record<string, number>>[]
  /** What is shipped of the best epoch (counted from 1), where early stopping looks for one. */
  readonly best?: { readonly epoch: number; readonly tensors: Readonly<Record<string, Float32Array>> }
  readonly environment: Readonly<Record<string, string | number>>
  /** What came before epochs that are aware of quantization, in a checkpoint of those: epochs and steps above are theirs. */
  readonly aware?: FloatPart
}

/** Epochs trained in float, behind which rounding began. */
export interface FloatPart {
  /** The float model that they gave. */
  readonly model: Uint8Array
  /** How many there were to be. */
  readonly planned: number
  readonly steps: number
  readonly history: Checkpoint['history']
}

/** What makes two runs the same but for their length. */
export function jobDigest(job: TrainJob, base?: Uint8Array, teacher?: Uint8Array): string {
  // How long a run is asked to be is not part of what it is; the weights that it begins with are.
  const from = job.base && base && { base: { ...job.base, sha256: sha256Hex(base) } }
  const heard = job.distillation && teacher && { distillation: { ...job.distillation, sha256: sha256Hex(teacher) } }
  const aware = job.quantizationAware && { quantizationAware: { ...job.quantizationAware, epochs: null } }
  return sha256Hex(canonicalJson({ ...job, ...from, ...heard, ...aware, epochs: null }))
}

/** Packs a checkpoint; of `spent` tensors the arrays are freed (see `pack`). */
export function encodeCheckpoint(checkpoint: Checkpoint, spent?: Iterable<Float32Array>): Packed {
  return pack({ format: FORMAT, v: VERSION, ...checkpoint }, spent)
}

/** Throws `CHECKPOINT_MISMATCH` for bytes that are no checkpoint of this format and for one of another network. */
export function decodeCheckpoint(bytes: Uint8Array, network: Trainable): Checkpoint {
  const value = unpacked(bytes)
  const issues: string[] = []
  if (!isRecord(value) || value['format'] !== FORMAT)
    throw errors.CHECKPOINT_MISMATCH({ issues: ['it is not a Tideway checkpoint'] })
  if (value['v'] !== VERSION)
    throw errors.CHECKPOINT_MISMATCH({
      issues: [`it has format version ${String(value['v'])}, this trainer reads ${VERSION}`],
    })
  for (const field of ['epoch', 'step', 'rows'])
    if (!Number.isSafeInteger(value[field])) issues.push(`${field} is not a whole number`)
  for (const field of ['parameters', 'state', 'statistics', 'environment'])
    if (!isRecord(value[field])) issues.push(`${field} is missing`)
  if (!Array.isArray(value['history']) || !value['history'].every(isRecord)) issues.push('history is missing')
  if (typeof value['job'] !== 'string') issues.push('job is missing')
  if (issues.length === 0) issues.push(...networkIssues(network, value as unknown as Checkpoint))
  if (issues.length > 0) throw errors.CHECKPOINT_MISMATCH({ issues })
  return value as unknown as Checkpoint
}

/**
 * The float part that came before a checkpoint; undefined for one of such a part, and for what is of another format. Throws
 * `CHECKPOINT_MISMATCH` for bytes that cannot be decoded.
 */
export function floatPartOf(bytes: Uint8Array): FloatPart | undefined {
  const value = unpacked(bytes)
  const ours = isRecord(value) && value['format'] === FORMAT && value['v'] === VERSION
  const part = ours ? value['aware'] : undefined
  if (!isRecord(part)) return undefined
  const { model, planned, steps, history } = part
  const whole = Number.isSafeInteger(planned) && Number.isSafeInteger(steps)
  if (!(model instanceof Uint8Array) || !whole || !Array.isArray(history) || !history.every(isRecord))
    throw errors.CHECKPOINT_MISMATCH({ issues: ['what came before rounding is missing'] })
  return part as unknown as FloatPart
}

function networkIssues(network: Trainable, checkpoint: Checkpoint): string[] {
  const issues: string[] = []
  for (const part of ['parameters', 'statistics'] as const) {
    const word = part === 'parameters' ? 'parameter' : 'statistic'
    for (const { name, shape } of network[part]) {
      const count = elements(shape)
      const have = checkpoint[part][name]
      if (!(have instanceof Float32Array)) issues.push(`it has no ${word} ${name}`)
      else if (have.length !== count) issues.push(`${word} ${name} has ${have.length} values, the network ${count}`)
    }
    const known = new Set(network[part].map(({ name }) => name))
    for (const name of Object.keys(checkpoint[part]))
      if (!known.has(name)) issues.push(`the network has no ${word} ${name}`)
  }
  return issues
}

function unpacked(bytes: Uint8Array): unknown {
  try {
    return unpack(bytes)
  } catch (cause) {
    throw errors.CHECKPOINT_MISMATCH({ issues: ['it cannot be decoded'] }, cause)
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
