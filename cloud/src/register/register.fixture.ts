import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlobRef, type Manifest, readManifest, sha256Hex, type Tensor } from '@tideway/core'
import { floats, GraphBuilder, writeModel } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import type { Artifacts } from '../pipeline/artifacts.js'

export const runtime = createOnnxNodeRuntime({ intraOpThreads: 1 })

/** Keeps what is stored, and what is registered. */
export class Kept implements Artifacts {
  readonly blobs = new Map<string, Uint8Array>()
  readonly registered: { manifest: Manifest; aliases: readonly string[] }[] = []

  async blob(sha256: string): Promise<Uint8Array> {
    return this.blobs.get(sha256)!
  }

  async putBlob(bytes: Uint8Array): Promise<BlobRef> {
    const sha256 = sha256Hex(bytes)
    this.blobs.set(sha256, bytes)
    return { sha256, size: bytes.byteLength, chunks: [{ sha256, size: bytes.byteLength }] }
  }

  putFile(bytes: Uint8Array): Promise<BlobRef> {
    return this.putBlob(bytes)
  }

  async register({ model, manifest, aliases }: Parameters<Artifacts['register']>[0]) {
    this.registered.push({ manifest: readManifest(manifest), aliases })
    const manifestDigest = sha256Hex(manifest)
    const version = { model, version: this.registered.length, manifestDigest, createdAt: new Date(0).toISOString() }
    return { version, created: true }
  }
}

const WEIGHTS = floats('float32', [4, 0, 0, 4, 1, 0, 0, 4, 1, 0, 0, 4], [4, 3])

/** Three classes by sums of pairs of four columns; `rows` null or how many it takes. */
export function classifierFile(rows: number | null = null, name = 'x'): Uint8Array {
  const g = new GraphBuilder('classifier')
  const x = g.input(name, 'float32', [rows, 4])
  g.output('y', g.op('Softmax', [g.op('MatMul', [x, g.constant(WEIGHTS)])], { axis: -1n }))
  return writeModel(g.build())
}

/** Whole numbers to the rows of a table of four. */
export function lookUpFile(): Uint8Array {
  const g = new GraphBuilder('look_up')
  const table = g.constant(floats('float32', [10, 20, 30, 40, 11, 21, 31, 41], [4, 2]))
  g.output(
    'row',
    g.op(
      'Gather',
      [
        table,
        g.op('Add', [
          g.input('at', 'int64', [null]),
          g.constant({ dtype: 'int64', shape: [], data: BigInt64Array.of(100n) }),
        ]),
      ],
      { axis: 0n },
    ),
  )
  return writeModel(g.build())
}

/** A sum and a product of two inputs. */
export function pairFile(): Uint8Array {
  const g = new GraphBuilder('pair')
  const a = g.input('a', 'float32', [null, 2])
  const b = g.input('b', 'float32', [null, 2])
  g.output('sum', g.op('Add', [a, b]))
  g.output('product', g.op('Mul', [a, b]))
  return writeModel(g.build())
}

/** The classifier, with the class of each row before its probabilities, as scikit-learn's exporters write it. */
export function labelsFile(isText: boolean): Uint8Array {
  const g = new GraphBuilder('labels')
  const sums = g.op('MatMul', [g.input('x', 'float32', [null, 4]), g.constant(WEIGHTS)])
  const index = g.op('ArgMax', [sums], { axis: 1n, keepdims: 0n })
  const names: Tensor = { dtype: 'string', shape: [3], data: ['ant', 'bee', 'cat'] }
  g.output('label', isText ? g.op('Gather', [g.constant(names), index], { axis: 0n }) : index)
  g.output('probabilities', g.op('Softmax', [sums], { axis: -1n }))
  return writeModel(g.build())
}

/** 1 for every row; as bytes, and a little of the row besides. */
export function flatFile(isBytes: boolean): Uint8Array {
  const g = new GraphBuilder('flat')
  const x = g.input('x', 'float32', [null, 2])
  const bytes = g.constant({ dtype: 'int8', shape: [2, 8], data: new Int8Array(16).fill(1) })
  const weights = isBytes ? g.op('Cast', [bytes], { to: 1n }) : g.constant(floats('float32', Array(16).fill(0), [2, 8]))
  const sums = g.op('ReduceMax', [g.op('MatMul', [x, weights])], { axes: [1n], keepdims: 1n })
  g.output('y', g.op('Add', [sums, g.constant(floats('float32', [1]))]))
  return writeModel(g.build())
}

/** Twice a number that is no row. */
export function scalarFile(): Uint8Array {
  const g = new GraphBuilder('scalar')
  const t = g.input('t', 'float32', [])
  g.output('y', g.op('Add', [t, t]))
  return writeModel(g.build())
}

/** Where numbers are not 0: so many as there are. */
export function hitsFile(): Uint8Array {
  const g = new GraphBuilder('hits')
  g.output('at', g.op('NonZero', [g.input('x', 'float32', [null, 2])]))
  return writeModel(g.build())
}

/** So many mebibytes of weights, of which no two pieces are alike. */
export function largeFile(mebibytes: number): Uint8Array {
  const g = new GraphBuilder('large')
  const columns = mebibytes * 2 ** 16
  const w = Float32Array.from({ length: 4 * columns }, (_, at) => at)
  const product = g.op('MatMul', [
    g.input('x', 'float32', [null, 4]),
    g.initializer('w', { dtype: 'float32', shape: [4, columns], data: w }),
  ])
  g.output('y', g.op('ReduceMax', [product], { axes: [1n], keepdims: 1n }))
  return writeModel(g.build())
}

export function logarithmFile(): Uint8Array {
  const g = new GraphBuilder('logarithm')
  g.output('y', g.op('Log', [g.input('x', 'float32', [null, 8])]))
  return writeModel(g.build())
}

export async function written(folder: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<string[]> {
  return Promise.all(
    Object.entries(files).map(async ([name, contents]) => {
      await writeFile(join(folder, name), contents)
      return join(folder, name)
    }),
  )
}
