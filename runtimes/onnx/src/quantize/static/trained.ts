import { create } from '@bufbuild/protobuf'
import { type Model, StringStringEntrySchema } from '../../generated/onnx_pb.js'
import type { Trained } from './options.js'
import { isScale } from './weights.js'

/** The entry of a file's metadata that says how it was rounded. */
const KEY = 'tideway.rounding'

/** Writes into a float model how it was rounded while it was trained: the quantizer takes it from there. */
export function writeRounding(model: Model, { ranges, weightBits, scales = {} }: Trained): void {
  const pairs = Object.entries(ranges).map(([name, { min, max }]) => [name, [min, max]])
  const short = Object.entries(scales).map(([name, values]) => [name, values.map(shortest)])
  const value = JSON.stringify({
    weightBits,
    ranges: Object.fromEntries(pairs),
    ...(short.length > 0 && { scales: Object.fromEntries(short) }),
  })
  model.metadataProps = [
    ...model.metadataProps.filter(({ key }) => key !== KEY),
    create(StringStringEntrySchema, { key: KEY, value }),
  ]
}

/** Nine digits say which float32 it is. */
const shortest = (scale: number): number => Number(Math.fround(scale).toPrecision(9))

/** Takes that out of a model: an int8 file has its scales. Undefined where there is none that can be read. */
export function takeRounding(model: Model): Trained | undefined {
  const entry = model.metadataProps.find(({ key }) => key === KEY)
  if (entry === undefined) return undefined
  model.metadataProps = model.metadataProps.filter((item) => item !== entry)
  const { weightBits, ranges, scales } = parsed(entry.value ?? '')
  const read = entriesOf(ranges).flatMap(([name, range]) => {
    const [min, max] = Array.isArray(range) ? (range as unknown[]) : []
    // JSON's 1e999 is read as infinity.
    const isRange = isReal(min) && isReal(max) && min <= max
    return isRange ? [[name, { min, max }] as const] : []
  })
  const areBits = typeof weightBits === 'number' && Number.isInteger(weightBits) && weightBits >= 2 && weightBits <= 8
  if (read.length === 0 || !areBits) return undefined
  const trained = entriesOf(scales).filter((pair): pair is [string, number[]] => isScales(pair[1]))
  const own = trained.map(([name, values]) => [name, values.map(Math.fround)] as const)
  return {
    weightBits,
    ranges: Object.fromEntries(read),
    ...(own.length > 0 && { scales: Object.fromEntries(own) }),
  }
}

const entriesOf = (value: unknown): [string, unknown][] =>
  typeof value === 'object' && value !== null ? Object.entries(value) : []

const isScales = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((scale) => isReal(scale) && isScale(Math.fround(scale)))

const isReal = (value: unknown): value is number => Number.isFinite(value)

/** Metadata may be anyone's. */
function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
