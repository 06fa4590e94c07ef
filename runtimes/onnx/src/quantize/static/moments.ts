import type { Runtime, Signature, Tensor, Tensors } from '@tideway/core'
import { attributesOf } from '../../format/node.js'
import { type Gram, withGram } from './gram.js'
import type { Plan } from './plan.js'
import { runRows, using, type Whole, withOutputs } from './rows.js'
import type { Step } from './steps.js'

/** Samples of what a layer's weights are multiplied with, for each layer; more hardly change the rounding. */
const SAMPLES = 1024

/** Layers whose sums are longer are rounded to nearest: their moments would take seconds and hundreds of megabytes. */
const MAX_INNER = 1152

/** E[x xᵀ] for each group of a layer, and which group an output channel belongs to. */
export interface Moments {
  readonly moments: readonly Float64Array[]
  readonly groupOf: (channel: number) => number
}

/**
 * Runs rows through the float model and takes, for each layer, the moments of patches spread evenly over all places:
 * centred where the bias will take back what the mean of x makes of the errors (see `correctBiases`).
 */
export async function momentsOf(
  model: Whole,
  plan: Plan,
  signature: Signature,
  rows: Tensors,
  runtime: Runtime,
  isCentred: (step: Step) => boolean,
): Promise<Map<Step, Moments>> {
  const layers = plan.steps.filter((step) => step.linear !== undefined && innerOf(step) <= MAX_INNER)
  const names = [...new Set(layers.map((step) => step.inputs[0] ?? ''))]
  const inner = names.filter((name) => rows[name] === undefined)
  const patches = new Map(layers.map((step) => [step, [] as Float32Array[]]))
  const look = (tensors: Tensors): void => {
    for (const step of layers) {
      const tensor = tensors[step.inputs[0] ?? '']
      if (tensor?.dtype === 'float32') patches.get(step)?.push(...samplesOf(step, tensor))
    }
  }
  if (inner.length === 0) look(rows)
  else
    await using(runtime, withOutputs(model, inner), async (session) => {
      for await (const tensors of runRows(session, signature, rows)) look(tensors)
    })
  return withGram(runtime, async (gram) => {
    const moments = new Map<Step, Moments>()
    for (const step of layers)
      moments.set(step, await momentsOfPatches(step, thinned(patches.get(step) ?? []), isCentred(step), gram))
    return moments
  })
}

const innerOf = ({ linear }: Step): number => (linear === undefined ? 0 : linear.weight.data.length / linear.outputs)

/** Every n-th, so that about `SAMPLES` are left. */
function thinned<T>(items: readonly T[]): T[] {
  const stride = Math.max(1, Math.floor(items.length / SAMPLES))
  return items.filter((_, at) => at % stride === 0)
}

/** What the weights see at places spread evenly: all groups' inputs, one group after the other. */
function samplesOf(step: Step, tensor: Tensor & { readonly dtype: 'float32' }): Float32Array[] {
  const { linear } = step
  if (linear === undefined) return []
  if (step.node.opType !== 'Conv') {
    const width = tensor.shape.at(-1) ?? 1
    const count = tensor.data.length / width
    return placesOf(count).map((row) => tensor.data.subarray(row * width, (row + 1) * width))
  }
  const geometry = geometryOf(step, tensor.shape)
  const [batch = 0] = tensor.shape
  const outputs = geometry.output.reduce((product, size) => product * size, 1)
  return placesOf(batch * outputs).map((at) => patchOf(tensor, geometry, Math.floor(at / outputs), at % outputs))
}

/** At most `SAMPLES` numbers below a count, spread evenly; an odd stride does not stay on one column. */
function placesOf(count: number): number[] {
  const stride = Math.max(1, Math.floor(count / SAMPLES)) | 1
  return Array.from({ length: Math.ceil(count / stride) }, (_, at) => at * stride)
}

interface Geometry {
  readonly channels: number
  readonly input: readonly number[]
  readonly kernel: readonly number[]
  readonly strides: readonly number[]
  readonly dilations: readonly number[]
  readonly begin: readonly number[]
  readonly output: readonly number[]
}

function geometryOf({ node, linear }: Step, shape: readonly number[]): Geometry {
  const attributes = attributesOf(node)
  const kernel = (linear?.weight.shape ?? []).slice(2)
  const input = shape.slice(2)
  const list = (name: string, fallback: number): number[] =>
    Array.isArray(attributes[name]) ? (attributes[name] as readonly bigint[]).map(Number) : kernel.map(() => fallback)
  const [strides, dilations] = [list('strides', 1), list('dilations', 1)]
  const { auto_pad: auto = 'NOTSET' } = attributes
  const given = Array.isArray(attributes['pads']) ? (attributes['pads'] as readonly bigint[]).map(Number) : undefined
  const reach = kernel.map((size, d) => (size - 1) * (dilations[d] ?? 1) + 1)
  const same = auto === 'SAME_UPPER' || auto === 'SAME_LOWER'
  const pads = input.map((size, d) => {
    if (!same) return [given?.[d] ?? 0, given?.[d + input.length] ?? 0] as const
    const stride = strides[d] ?? 1
    const all = Math.max(0, (Math.ceil(size / stride) - 1) * stride + (reach[d] ?? 1) - size)
    const less = Math.floor(all / 2)
    return auto === 'SAME_UPPER' ? ([less, all - less] as const) : ([all - less, less] as const)
  })
  const output = input.map((size, d) => {
    const [before = 0, after = 0] = pads[d] ?? []
    return Math.floor((size + before + after - (reach[d] ?? 1)) / (strides[d] ?? 1)) + 1
  })
  return { channels: shape[1] ?? 1, input, kernel, strides, dilations, begin: pads.map(([before]) => before), output }
}

/** The input values under the kernel at one place, channel by channel; zeros outside. */
function patchOf(
  { data }: Tensor & { readonly dtype: 'float32' },
  { channels, input, kernel, strides, dilations, begin, output }: Geometry,
  row: number,
  place: number,
): Float32Array {
  const size = input.reduce((product, length) => product * length, 1)
  const taps = kernel.reduce((product, length) => product * length, 1)
  const corner = coordinates(place, output).map((at, d) => at * (strides[d] ?? 1) - (begin[d] ?? 0))
  const patch = new Float32Array(channels * taps)
  for (let tap = 0; tap < taps; tap++) {
    const at = coordinates(tap, kernel).map((offset, d) => (corner[d] ?? 0) + offset * (dilations[d] ?? 1))
    if (at.some((x, d) => x < 0 || x >= (input[d] ?? 0))) continue
    const flat = at.reduce((sum, x, d) => sum * (input[d] ?? 1) + x, 0)
    for (let c = 0; c < channels; c++) patch[c * taps + tap] = data[(row * channels + c) * size + flat] ?? 0
  }
  return patch
}

function coordinates(flat: number, shape: readonly number[]): number[] {
  const at: number[] = []
  let rest = flat
  for (const size of shape.toReversed()) {
    at.unshift(rest % size)
    rest = Math.floor(rest / size)
  }
  return at
}

async function momentsOfPatches(
  step: Step,
  patches: readonly Float32Array[],
  isCentred: boolean,
  gram: Gram,
): Promise<Moments> {
  const size = innerOf(step)
  const groups = Math.max(1, (patches[0]?.length ?? size) / size)
  const outputs = (step.linear?.outputs ?? 1) / groups
  const moments: Float64Array[] = []
  for (let group = 0; group < groups; group++) {
    const rows = patches.map((patch) => patch.subarray(group * size, (group + 1) * size))
    moments.push(await secondMoment(rows, size, isCentred, gram))
  }
  return { moments, groupOf: (channel) => Math.floor(channel / outputs) }
}

/** The mean of x xᵀ, with a little on the diagonal for directions that the rows do not show. */
async function secondMoment(
  rows: readonly Float32Array[],
  size: number,
  isCentred: boolean,
  gram: Gram,
): Promise<Float64Array> {
  const mean = new Float64Array(size)
  for (const row of isCentred ? rows : [])
    for (let i = 0; i < size; i++) mean[i] = (mean[i] ?? 0) + (row[i] ?? 0) / rows.length
  const x = new Float32Array(rows.length * size)
  for (const [at, row] of rows.entries())
    for (let i = 0; i < size; i++) x[at * size + i] = (row[i] ?? 0) - (mean[i] ?? 0)
  const moment = Float64Array.from(await gram(x, size), (sum) => sum / Math.max(1, rows.length))
  let trace = 0
  for (let i = 0; i < size; i++) trace += moment[i * size + i] ?? 0
  const ridge = 0.01 * (trace / size)
  for (let i = 0; i < size; i++) moment[i * size + i] = (moment[i * size + i] ?? 0) + ridge
  return moment
}
