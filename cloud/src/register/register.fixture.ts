import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BlobRef, type Manifest, readManifest, sha256Hex } from '@tideway/core'
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

/** Three classes by sums of pairs of four columns; `rows` null or how many it takes. */
export function classifierFile(rows: number | null = null, name = 'x'): Uint8Array {
  const g = new GraphBuilder('classifier')
  const x = g.input(name, 'float32', [rows, 4])
  const w = g.constant(floats('float32', [4, 0, 0, 4, 1, 0, 0, 4, 1, 0, 0, 4], [4, 3]))
  g.output('y', g.op('Softmax', [g.op('MatMul', [x, w])], { axis: -1n }))
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

export async function written(folder: string, files: Readonly<Record<string, Uint8Array | string>>): Promise<string[]> {
  return Promise.all(
    Object.entries(files).map(async ([name, contents]) => {
      await writeFile(join(folder, name), contents)
      return join(folder, name)
    }),
  )
}
