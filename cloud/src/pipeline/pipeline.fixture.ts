import {
  type Dataset,
  encodeTensors,
  type Manifest,
  type PipelineConfig,
  readManifest,
  resolvePipeline,
  sha256Hex,
} from '@tideway/core'
import { createInt8Quantizer } from '@tideway/onnx'
import { createOnnxNodeRuntime } from '@tideway/runtime-onnx-node'
import { createOnnxTrainer } from '@tideway/trainer-onnx'
import { type PipelineResult, runPipeline, type Workshop } from './run.js'

export interface Ran {
  readonly result: PipelineResult
  readonly manifest: Manifest
  /** Everything that was stored, by digest. */
  readonly blobs: ReadonlyMap<string, Uint8Array>
  /** The file of a variant. */
  readonly file: (precision: 'fp32' | 'int8') => Uint8Array
}

/**
 * Runs a pipeline with the real trainer, quantizer and runtime; what it makes is kept in memory, but for blobs that it
 * `refuses`. A base model is given by its bytes. Parts of the workshop may be others.
 */
export async function ranPipeline(
  pipeline: PipelineConfig,
  refuses: (bytes: Uint8Array) => boolean = () => false,
  others: Partial<Workshop> = {},
): Promise<Ran> {
  const blobs = new Map<string, Uint8Array>()
  const keep = async (bytes: Uint8Array) => {
    if (refuses(bytes)) throw new Error('the disk is full')
    const sha256 = sha256Hex(bytes)
    blobs.set(sha256, bytes)
    return { sha256, size: bytes.byteLength, chunks: [{ sha256, size: bytes.byteLength }] }
  }
  const blob = async (sha256: string) => {
    const found = blobs.get(sha256)
    if (found === undefined) throw new Error(`there is no blob ${sha256}`)
    return found
  }
  const dataset: Dataset = await pipeline.data({})
  const data = await keep(encodeTensors({ data: { inputs: dataset.inputs, targets: dataset.targets } }))
  const base = pipeline.base && (await keep(pipeline.base.model as Uint8Array))
  const spec = resolvePipeline(pipeline, {
    dataset,
    data: { sha256: data.sha256, size: data.size },
    ...(base && { base: { sha256: base.sha256, size: base.size } }),
  })
  const result = await runPipeline(
    { id: 'job', spec },
    {
      trainer: createOnnxTrainer({ threads: 1 }),
      quantizer: createInt8Quantizer(),
      runtime: createOnnxNodeRuntime(),
      artifacts: {
        blob,
        putBlob: keep,
        putFile: keep,
        async register({ model, manifest, runId }) {
          const { sha256 } = await keep(manifest)
          const version = { model, version: 1, manifestDigest: sha256, runId, createdAt: new Date(0).toISOString() }
          return { version, created: true }
        },
      },
      onStage: () => {},
      onProgress: () => {},
      onCheckpoint: async () => {},
      signal: new AbortController().signal,
      ...others,
    },
  )
  return {
    result,
    blobs,
    manifest: readManifest(blobs.get(result.version.manifestDigest)!),
    file: (precision) => blobs.get(result.variantDigests[precision] ?? '')!,
  }
}
