import type { Signature, Tensor, Tensors } from '@tideway/core'
import { arrayClasses, elementCount, setOwn } from '@tideway/core/serving'

/** Whether rows of several requests may go through a model together: everything that it takes and gives has a free first axis. */
export function takesBatches({ inputs, outputs }: Signature): boolean {
  const all = [...inputs, ...outputs]
  return inputs.length > 0 && all.every(({ shape }) => shape[0] === null)
}

/** Whether all rows that a model takes are of one shape. */
export function hasFixedRows({ inputs }: Signature): boolean {
  return inputs.every(({ shape }) => !shape.slice(1).includes(null))
}

/** How many rows a request has; undefined where its inputs differ in that. */
export function rowsOf(inputs: Tensors): number | undefined {
  let rows: number | undefined
  for (const name in inputs) {
    const own = inputs[name]?.shape[0]
    if (rows !== undefined && own !== rows) return undefined
    rows = own
  }
  return rows
}

/** What has to be alike in requests that go together: the shapes of their rows. */
export function rowShapes(inputs: Tensors): string {
  const names = Object.keys(inputs).sort()
  return names.map((name) => `${name}:${inputs[name]?.shape.slice(1).join()}`).join(' ')
}

/** Where so many bytes may be put. */
type Memory = (bytes: number) => ArrayBuffer

const newMemory: Memory = (bytes) => new ArrayBuffer(bytes)

/** The rows of several requests behind one another, in `memory`; those of one request as they are, uncopied. */
export function joined(requests: readonly Tensors[], memory = newMemory): Tensors {
  const [first, ...others] = requests as readonly [Tensors, ...Tensors[]]
  if (others.length === 0) return first
  const whole: Record<string, Tensor> = {}
  for (const name of Object.keys(first)) {
    const parts = requests.map((inputs) => inputs[name] as Tensor)
    setOwn(whole, name, behind(parts, first[name] as Tensor, memory))
  }
  return whole
}

function behind(parts: readonly Tensor[], { dtype, shape }: Tensor, memory: Memory): Tensor {
  const rows = parts.reduce((sum, part) => sum + (part.shape[0] as number), 0)
  const whole = [rows, ...shape.slice(1)]
  if (dtype === 'string') return { dtype, shape: whole, data: parts.flatMap(({ data }) => data as string[]) }
  const array = arrayClasses[dtype]
  const count = elementCount(whole)
  const data = new array(memory(count * array.BYTES_PER_ELEMENT), 0, count) as Float32Array
  let at = 0
  for (const part of parts) {
    data.set(part.data as Float32Array, at)
    at += part.data.length
  }
  return { dtype, shape: whole, data } as Tensor
}

/**
 * The outputs of each request, by how many rows they have: views of the whole ones, uncopied. Undefined where an output
 * has not as many rows as went in, so that it cannot be told whose they are.
 */
export function split(outputs: Tensors, rows: readonly number[]): Tensors[] | undefined {
  const total = rows.reduce((sum, count) => sum + count, 0)
  const parts = rows.map((): Record<string, Tensor> => ({}))
  for (const name of Object.keys(outputs)) {
    const { dtype, shape, data } = outputs[name] as Tensor
    if (shape[0] !== total) return undefined
    const row = shape.slice(1)
    const width = elementCount(row)
    let from = 0
    for (let at = 0; at < rows.length; at++) {
      const count = rows[at] as number
      const to = from + count * width
      const own = dtype === 'string' ? (data as string[]).slice(from, to) : (data as Float32Array).subarray(from, to)
      setOwn(parts[at] as Record<string, Tensor>, name, { dtype, shape: [count, ...row], data: own } as Tensor)
      from = to
    }
  }
  return parts
}
