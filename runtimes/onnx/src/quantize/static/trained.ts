import { create } from '@bufbuild/protobuf'
import { type Model, StringStringEntrySchema } from '../../generated/onnx_pb.js'
import type { Trained } from './options.js'

/** The entry of a file's metadata that says how it was rounded. */
const KEY = 'tideway.rounding'

/** Writes into a float model how it was rounded while it was trained: the quantizer takes it from there. */
export function writeRounding(model: Model, { ranges, weightBits }: Trained): void {
  const pairs = Object.entries(ranges).map(([name, { min, max }]) => [name, [min, max]])
  const value = JSON.stringify({ weightBits, ranges: Object.fromEntries(pairs) })
  model.metadataProps = [
    ...model.metadataProps.filter(({ key }) => key !== KEY),
    create(StringStringEntrySchema, { key: KEY, value }),
  ]
}

/** Takes that out of a model: an int8 file has its scales. Undefined where there is none that can be read. */
export function takeRounding(model: Model): Trained | undefined {
  const entry = model.metadataProps.find(({ key }) => key === KEY)
  if (entry === undefined) return undefined
  model.metadataProps = model.metadataProps.filter((item) => item !== entry)
  const { weightBits, ranges } = parsed(entry.value ?? '')
  const read = Object.entries(typeof ranges === 'object' && ranges !== null ? ranges : {}).flatMap(([name, range]) => {
    const [min, max] = Array.isArray(range) ? (range as unknown[]) : []
    // JSON's 1e999 is read as infinity.
    const isRange = isReal(min) && isReal(max) && min <= max
    return isRange ? [[name, { min, max }] as const] : []
  })
  const areBits = typeof weightBits === 'number' && Number.isInteger(weightBits) && weightBits >= 2 && weightBits <= 8
  return read.length > 0 && areBits ? { weightBits, ranges: Object.fromEntries(read) } : undefined
}

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
