import { parentPort, workerData } from 'node:worker_threads'
import type { Hdf5Answer, Hdf5Task, Hdf5Tensor } from './hdf5.js'

/** Keras nests groups some six deep; a group may also hold itself. */
const MOST_LEVELS = 12
const MOST_ENTRIES = 100_000

/** A worker thread's program: reads the tensors of one file, all of them or none. */
async function read({ bytes, maxBytes }: Hdf5Task): Promise<Hdf5Answer> {
  const hdf5 = await import('h5wasm').catch((cause: unknown) => String(cause))
  if (typeof hdf5 === 'string') return { missing: hdf5 }
  const { FS } = await hdf5.ready
  // A file system in memory: what links to other files names nothing there.
  FS.writeFile('model.h5', bytes)
  const file = new hdf5.File('model.h5', 'r')
  if (file.file_id < 0n) return { problem: 'it is no HDF5 file, or a damaged one' }
  const top = file.keys()
  const start = ['layers', 'model_weights'].find((name) => top.includes(name))
  const pending = (start === undefined ? top : [start]).map((path) => ({ path, level: 1 }))
  const tensors: Hdf5Tensor[] = []
  let entries = 0
  let size = 0
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { path, level } = next
    if (++entries > MOST_ENTRIES) return { problem: `it has more than ${MOST_ENTRIES} entries` }
    const entity = file.get(path)
    if (entity instanceof hdf5.Group) {
      if (level === MOST_LEVELS) return { problem: `${path} is ${level} levels deep` }
      for (const name of entity.keys()) pending.push({ path: `${path}/${name}`, level: level + 1 })
    } else if (entity instanceof hdf5.Dataset) {
      const { type, size: width, shape } = entity.metadata
      // H5T_FLOAT; counters and quantized weights are no numbers to train.
      const isFloat = type === 1 && (width === 4 || width === 8)
      size += isFloat ? (shape ?? []).reduce((product, each) => product * each, width) : 0
      if (size > maxBytes) return { problem: `its tensors have more than ${maxBytes} bytes` }
      const data = isFloat ? entity.value : undefined
      tensors.push({
        path,
        shape: [...(shape ?? [])],
        data: data instanceof Float32Array ? data : data instanceof Float64Array ? Float32Array.from(data) : undefined,
      })
    }
  }
  return { tensors, config: textOf(file.attrs['model_config']), version: textOf(file.attrs['keras_version']) }
}

function textOf(attribute: { readonly value: unknown } | undefined): string | undefined {
  const value = attribute?.value
  return typeof value === 'string' ? value : undefined
}

const answer = await read(workerData as Hdf5Task).catch((cause: unknown): Hdf5Answer => ({ problem: String(cause) }))
parentPort?.postMessage(answer)
