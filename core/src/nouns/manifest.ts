import { z } from 'zod'
import { errors } from '../errors.js'
import { profileSchemaSchema } from '../profile/schema.js'
import { limits } from '../wire/limits.js'
import { parseJson } from '../wire/parse.js'
import { idSchema, sha256Schema } from './names.js'
import { canonicalJson } from './sha256.js'

export const chunkRefSchema = z.looseObject({
  sha256: sha256Schema,
  size: z.int().positive().max(limits.maxChunkBytes),
})
export type ChunkRef = z.infer<typeof chunkRefSchema>

/** A thing made of chunks, in order. Its name is the sha256 of all its bytes. */
export const blobRefSchema = z.looseObject({
  sha256: sha256Schema,
  size: z.int().nonnegative(),
  chunks: z.array(chunkRefSchema),
})
export type BlobRef = z.infer<typeof blobRefSchema>

export const fileSchema = blobRefSchema.extend({ path: z.string().min(1).max(255) })

const tensorSpecSchema = z.looseObject({
  name: z.string(),
  dtype: z.enum([
    'float32',
    'float64',
    'float16',
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'bool',
    'string',
  ]),
  shape: z.array(z.int().nonnegative().nullable()),
})
export const signatureSchema = z.looseObject({
  inputs: z.array(tensorSpecSchema).min(1),
  outputs: z.array(tensorSpecSchema).min(1),
})

/** The known-answer test: inputs and the outputs this variant must give; blob `{inputs, outputs}` of encodeTensors. */
export const knownAnswersSchema = blobRefSchema.extend({
  rows: z.int().positive(),
  /** Largest allowed |difference| of any output value. */
  tolerance: z.number().positive(),
  /** The same by output, where there are several; what is not named has `tolerance`. */
  tolerances: z.record(z.string(), z.number().nonnegative()).optional(),
  /** Rows whose top-1 leads by more than this must agree in top-1; absent for models that do not classify. */
  top1Margin: z.number().nonnegative().optional(),
  /** What the tolerance was taken from: the greatest of these. */
  toleranceCause: z
    .looseObject({
      /**
       * `rounding`: of float sums; `quantization`: of the variant itself; `engines`: engines do not agree closer. For
       * people: a later cloud may have found another one.
       */
      kind: z.string().min(1).max(63),
      /** Largest |difference| of any output value to what the first engine gave, by engine. */
      engines: z.record(z.string(), z.number().nonnegative()),
    })
    .optional(),
})

export const variantSchema = z.looseObject({
  id: idSchema,
  format: z.enum(['onnx', 'tfjs']),
  precision: z.enum(['fp32', 'fp16', 'int8', 'int4']),
  /** The scheme that made it (`int8-dynamic`, ...); absent for a float model, and where the file came from elsewhere. */
  scheme: z.string().min(1).max(63).optional(),
  /** Abilities that a device must have (`provider:webgpu`, `operator:com.microsoft.MatMulNBits`, ...). */
  requires: z.array(z.string()),
  /** The first file is the model. */
  files: z.array(fileSchema).min(1),
  knownAnswers: knownAnswersSchema,
})
export type Variant = z.infer<typeof variantSchema>

/** Everything that a version is. Its bytes are stored as they are; unknown fields are kept. */
export const manifestSchema = z.looseObject({
  v: z.literal(1),
  model: idSchema,
  signature: signatureSchema,
  /** In order of preference: a device takes the first that it can run. */
  variants: z.array(variantSchema).min(1),
  classes: z.array(z.string()).optional(),
  /** What devices profile. */
  profile: profileSchemaSchema.optional(),
  /** A sealed profile (JSON blob) of the validation rows through the preferred variant. */
  baseline: blobRefSchema.optional(),
  metrics: z.record(z.string(), z.number()),
  lineage: z.looseObject({
    dataDigest: sha256Schema,
    configDigest: sha256Schema,
    seed: z.int(),
    code: z.string(),
    /** Manifest digest of the version whose weights this one started from. */
    parent: sha256Schema.optional(),
  }),
})
export type Manifest = z.infer<typeof manifestSchema>

/** Reads manifest bytes; throws `MANIFEST_TOO_LARGE`, `JSON_INVALID` or `INPUT_REJECTED`. */
export function readManifest(bytes: Uint8Array): Manifest {
  if (bytes.byteLength > limits.maxManifestBytes)
    throw errors.MANIFEST_TOO_LARGE({ bytes: bytes.byteLength, maxBytes: limits.maxManifestBytes })
  return parseJson(manifestSchema, bytes, 'manifest', limits.maxManifestBytes)
}

/**
 * The manifest's bytes: the same for equal manifests, whatever the order of their keys, as the digest is what says
 * that a version is there already. Throws `MANIFEST_TOO_LARGE`.
 */
export function writeManifest(manifest: Manifest): Uint8Array<ArrayBuffer> {
  const bytes = new TextEncoder().encode(canonicalJson(manifest))
  if (bytes.byteLength > limits.maxManifestBytes)
    throw errors.MANIFEST_TOO_LARGE({ bytes: bytes.byteLength, maxBytes: limits.maxManifestBytes })
  return bytes
}
