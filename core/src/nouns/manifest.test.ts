import { describe, expect, it } from 'vitest'
import { limits } from '../wire/limits.js'
import { toJsonBytes } from '../wire/parse.js'
import { type Manifest, readManifest, writeManifest } from './manifest.js'

const digest = 'a'.repeat(64)
const blob = { sha256: digest, size: 3, chunks: [{ sha256: digest, size: 3 }] }
const manifest: Manifest = {
  v: 1,
  model: 'digits',
  signature: {
    inputs: [{ name: 'x', dtype: 'float32', shape: [null, 4] }],
    outputs: [{ name: 'y', dtype: 'float32', shape: [null, 2] }],
  },
  variants: [
    {
      id: 'onnx-int8',
      format: 'onnx',
      precision: 'int8',
      requires: [],
      files: [{ ...blob, path: 'model.onnx' }],
      knownAnswers: { ...blob, rows: 1, tolerance: 0.001 },
    },
  ],
  metrics: {},
  lineage: { dataDigest: digest, configDigest: digest, seed: 1, code: '0.1.0' },
}

describe('a manifest', () => {
  it('comes back as it was written, with fields that we do not know', () => {
    const newer = { ...manifest, somethingNew: { deep: [1] }, variants: [{ ...manifest.variants[0]!, extra: true }] }
    expect(readManifest(writeManifest(newer))).toEqual(newer)
  })

  it('has the same bytes in whatever order its keys came', () => {
    const { chunks, ...rest } = blob
    const file = { chunks: chunks.map(({ sha256, size }) => ({ size, sha256 })), path: 'model.onnx', ...rest }
    const variants = [{ ...manifest.variants[0]!, files: [file] }]
    const { v, ...others } = manifest
    expect(writeManifest({ ...others, v, variants })).toEqual(writeManifest(manifest))
  })

  it('is refused with every bad field named', () => {
    const bad = { ...manifest, model: 'No Spaces', variants: [{ ...manifest.variants[0]!, files: [] }] }
    expect(() => readManifest(toJsonBytes(bad))).toThrow(/model: .*variants\.0\.files: /)
  })

  it('is refused beyond its size limit, before it is read', () => {
    const large = { ...manifest, padding: 'x'.repeat(limits.maxManifestBytes) }
    expect(() => writeManifest(large)).toThrow(expect.objectContaining({ code: 'MANIFEST_TOO_LARGE' }))
    expect(() => readManifest(toJsonBytes(large))).toThrow(expect.objectContaining({ code: 'MANIFEST_TOO_LARGE' }))
  })

  it('is refused when it is not JSON', () => {
    expect(() => readManifest(new Uint8Array([0xff, 0xfe]))).toThrow(expect.objectContaining({ code: 'JSON_INVALID' }))
  })
})
