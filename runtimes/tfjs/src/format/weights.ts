import type { io } from '@tensorflow/tfjs-core'
import { quote } from './issues.js'

/** What a weights manifest says of one weight, as TensorFlow.js writes it. */
export type WeightSpec = io.WeightsManifestEntry

/** A group of weights whose bytes lie one after another in its files. */
export interface WeightGroup {
  readonly paths: readonly string[]
  readonly weights: readonly WeightSpec[]
}

const BYTES: Readonly<Record<string, number>> = { float32: 4, int32: 4, bool: 1, complex64: 8 }
const QUANTIZED_BYTES: Readonly<Record<string, number>> = { uint8: 1, uint16: 2, float16: 2 }
/** A string's length in front of it. */
const LENGTH_BYTES = 4

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What is wrong with a weights manifest from outside, each with its path; empty if it is one. */
export function manifestIssues(manifest: unknown): string[] {
  if (!Array.isArray(manifest)) return ['weightsManifest: is not a list of groups']
  const names = new Set<string>()
  return manifest.flatMap((group: unknown, at) => {
    const where = `weightsManifest.${at}`
    if (!isObject(group)) return [`${where}: is not a group { paths, weights }`]
    const { paths, weights } = group
    const issues: string[] = []
    if (!Array.isArray(paths) || !paths.every((path) => typeof path === 'string'))
      issues.push(`${where}.paths: is not a list of texts`)
    if (!Array.isArray(weights)) return [...issues, `${where}.weights: is not a list`]
    return [...issues, ...weights.flatMap((weight, i) => specIssues(weight, `${where}.weights.${i}`, names))]
  })
}

function specIssues(spec: unknown, where: string, names: Set<string>): string[] {
  if (!isObject(spec)) return [`${where}: is not a weight { name, shape, dtype }`]
  const { name, shape, dtype, quantization } = spec
  const issues: string[] = []
  // That one is no key of an object like others.
  if (typeof name !== 'string' || name === '' || name === '__proto__') issues.push(`${where}.name: is not a name`)
  else if (names.has(name)) issues.push(`${where}.name: ${quote(name)} is there twice`)
  else names.add(name)
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    issues.push(`${where}.shape: is not a list of whole numbers from 0`)
  else if (!Number.isSafeInteger(shape.reduce((a: number, b: number) => a * b, 1)))
    issues.push(`${where}.shape: is too large`)
  if (typeof dtype !== 'string' || !(Object.hasOwn(BYTES, dtype) || dtype === 'string'))
    issues.push(`${where}.dtype: ${quote(dtype)} is none of ${Object.keys(BYTES).join(', ')}, string`)
  if ('quantization' in spec) issues.push(...quantizationIssues(quantization, dtype, `${where}.quantization`))
  return issues
}

function quantizationIssues(quantization: unknown, dtype: unknown, where: string): string[] {
  if (!isObject(quantization)) return [`${where}: is not { dtype, scale, min }`]
  const { dtype: as, scale, min } = quantization
  if (typeof as !== 'string' || !Object.hasOwn(QUANTIZED_BYTES, as))
    return [`${where}.dtype: ${quote(as)} is none of ${Object.keys(QUANTIZED_BYTES).join(', ')}`]
  if (as === 'float16') return dtype === 'float32' ? [] : [`${where}.dtype: float16 is for float32 weights only`]
  const issues = Object.entries({ scale, min }).flatMap(([key, value]) =>
    Number.isFinite(value) ? [] : [`${where}.${key}: is not a finite number`],
  )
  if (dtype !== 'float32' && dtype !== 'int32') issues.push(`${where}: is for float32 and int32 weights only`)
  return issues
}

/** What is wrong with a group's bytes: they must be those that its weights need, no fewer and no more. */
export function bytesIssues({ weights }: WeightGroup, bytes: Uint8Array, where: string): string[] {
  let offset = 0
  for (const [at, spec] of weights.entries()) {
    const size = byteLength(spec, bytes, offset)
    offset += size ?? Number.POSITIVE_INFINITY
    if (offset > bytes.byteLength)
      return [
        `${where}: has ${bytes.byteLength} bytes, which end in weight ${at} of ${weights.length}, ${quote(spec.name)}`,
      ]
  }
  return offset === bytes.byteLength ? [] : [`${where}: has ${bytes.byteLength} bytes, its weights need ${offset}`]
}

/** Bytes of one weight at a place; undefined where its strings run over the end. */
function byteLength({ shape, dtype, quantization }: WeightSpec, bytes: Uint8Array, offset: number): number | undefined {
  const count = shape.reduce((a, b) => a * b, 1)
  if (quantization !== undefined) return count * (QUANTIZED_BYTES[quantization.dtype] ?? Number.NaN)
  if (dtype !== 'string') return count * (BYTES[dtype] ?? Number.NaN)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let at = offset
  for (let left = count; left > 0; left -= 1) {
    if (at + LENGTH_BYTES > bytes.byteLength) return undefined
    at += LENGTH_BYTES + view.getUint32(at, true)
  }
  return at - offset
}
