import { type Shape, type TensorArrays } from '@tideway/core'
import { z } from 'zod'
import { errors } from '../errors.js'
import type { NamedWeight } from '../layers/index.js'

/** A tensor of a Keras model in Keras's own layout. */
export interface KerasWeight {
  /** As Keras names it: `conv2d/kernel`, `lstm/lstm_cell/bias:0`. */
  readonly name: string
  readonly shape: Shape
  readonly data: Float32Array
}

const manifestSchema = z.object({
  weightsManifest: z.array(
    z.object({
      paths: z.array(z.string()),
      weights: z.array(
        z.object({
          name: z.string(),
          shape: z.array(z.int().nonnegative()),
          dtype: z.string(),
          quantization: z
            .object({ dtype: z.string(), scale: z.number().optional(), min: z.number().optional() })
            .optional(),
        }),
      ),
    }),
  ),
})

const TYPES = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, uint16: Uint16Array } as const
const isType = (dtype: string): dtype is keyof typeof TYPES => dtype in TYPES

/** The tensors of a TensorFlow.js model: groups of files end to end, numbers little-endian, maybe as scaled integers. */
export function weightsOfShards(json: unknown, shards: ReadonlyMap<string, Uint8Array>): KerasWeight[] {
  const manifest = manifestSchema.safeParse(json)
  if (!manifest.success) return []
  const issues: string[] = []
  const found = manifest.data.weightsManifest.flatMap(({ paths, weights }) => {
    const missing = paths.filter((path) => !shards.has(path))
    if (missing.length > 0) {
      issues.push(...missing.map((path) => `file ${path} is missing`))
      return []
    }
    const bytes = Buffer.concat(paths.map((path) => shards.get(path) as Uint8Array))
    let at = 0
    return weights.flatMap(({ name, shape, dtype, quantization }): KerasWeight[] => {
      const stored = quantization?.dtype ?? dtype
      const length = shape.reduce((product, size) => product * size, 1)
      if (!isType(stored) || stored === 'int32') {
        issues.push(`${name}: element type ${stored}`)
        return []
      }
      const size = length * TYPES[stored].BYTES_PER_ELEMENT
      if (at + size > bytes.byteLength) {
        issues.push(`${name}: ends at byte ${at + size} of ${bytes.byteLength}`)
        return []
      }
      const values = numbers(bytes.subarray(at, at + size), stored)
      at += size
      const { scale = 1, min = 0 } = quantization ?? {}
      const data =
        quantization === undefined ? Float32Array.from(values) : Float32Array.from(values, (v) => v * scale + min)
      return [{ name, shape, data }]
    })
  })
  if (issues.length > 0) throw errors.KERAS_WEIGHTS_INVALID({ issues })
  return found
}

/** A copy, as bytes of a file need not begin where numbers may. */
function numbers(bytes: Uint8Array, dtype: keyof typeof TYPES): TensorArrays['float32' | 'int32' | 'uint8' | 'uint16'] {
  return new TYPES[dtype](new Uint8Array(bytes).buffer)
}

/** What the parts of a tensor's name are in Keras 3 where they are not what they were. */
const PART_ALIASES: Readonly<Record<string, readonly string[]>> = { depthwise_kernel: ['depthwise_kernel', 'kernel'] }

/** The names that a layer's tensors stand under; a Bidirectional's under those of its two cells. */
export interface WeightNames {
  readonly layer: string
  readonly inner?: string
}

/**
 * A network's tensors in the graph's layout, from Keras's by name: all of them, or `KERAS_WEIGHTS_INVALID` naming each
 * that is missing or has another shape.
 */
export function matchWeights(
  wanted: readonly NamedWeight[],
  found: readonly KerasWeight[],
  namesOf: (layer: string) => WeightNames,
): Map<string, Float32Array> {
  const issues: string[] = []
  const paths = found.map((weight) => ({ weight, path: weight.name.replace(/:\d+$/, '').split('/') }))
  const out = new Map<string, Float32Array>()
  const find = (segments: readonly string[], part: string, direction?: string): KerasWeight | undefined =>
    paths.find(({ path }) => {
      const parts = PART_ALIASES[part] ?? [part]
      const ends = parts.some((name) => path.slice(-name.split('/').length).join('/') === name)
      return (
        ends &&
        path.some((segment) => segments.includes(segment)) &&
        (direction === undefined || path.some((segment) => segment.startsWith(direction)))
      )
    })?.weight
  const take = (spec: NamedWeight, shape: Shape, weight: KerasWeight | undefined): Float32Array | undefined => {
    if (weight === undefined) issues.push(`${spec.name}: missing`)
    else if (weight.shape.join() !== shape.join())
      issues.push(`${spec.name}: [${weight.shape.join(', ')}], not [${shape.join(', ')}]`)
    else if (!weight.data.every(Number.isFinite)) issues.push(`${spec.name}: holds a value that is not finite`)
    else return weight.data
    return undefined
  }
  for (const spec of wanted) {
    const { layer, inner } = namesOf(spec.layer)
    const values =
      inner === undefined
        ? take(spec, spec.kerasShape, find([layer], keptAs(spec.part)))
        : both(
            ['forward', 'backward'].map((direction) =>
              take(spec, spec.kerasShape.slice(1), find([layer, `${direction}_${inner}`], spec.part, `${direction}_`)),
            ),
          )
    if (values !== undefined) out.set(spec.name, converted(spec, values))
  }
  if (issues.length > 0) throw errors.KERAS_WEIGHTS_INVALID({ issues })
  return out
}

/** Keras's Normalization keeps the variance, of which the graph has 1 / √variance. */
const keptAs = (part: string): string => (part === 'scale' ? 'variance' : part)

/** Keras divides by at least its epsilon. */
const EPSILON = 1e-7

function converted(spec: NamedWeight, values: Float32Array): Float32Array {
  if (spec.part === 'scale') return values.map((variance) => 1 / Math.max(Math.sqrt(variance), EPSILON))
  return spec.toGraph?.(values) ?? values
}

function both([forward, backward]: readonly (Float32Array | undefined)[]): Float32Array | undefined {
  if (forward === undefined || backward === undefined) return undefined
  const out = new Float32Array(forward.length + backward.length)
  out.set(forward)
  out.set(backward, forward.length)
  return out
}
