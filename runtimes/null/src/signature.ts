import { errors, issuesOf, type Signature, signatureSchema } from '@tideway/core'

/** The null runtime's model format: the signature itself as JSON in UTF-8. */
export function encodeSignature(signature: Signature): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(signature))
}

/** Reads what `encodeSignature` wrote; throws `MODEL_INVALID` naming every bad field. */
export function parseSignature(bytes: Uint8Array): Signature {
  const result = signatureSchema.safeParse(parseJson(bytes))
  if (!result.success) throw errors.MODEL_INVALID({ reason: issuesOf(result.error).join('; ') }, result.error)
  const { inputs, outputs } = result.data
  for (const specs of [inputs, outputs]) {
    const twice = specs.find((spec, index) => specs.findIndex((other) => other.name === spec.name) !== index)
    if (twice !== undefined) throw errors.MODEL_INVALID({ reason: `"${twice.name}" is there twice` })
  }
  return { inputs, outputs }
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw errors.MODEL_INVALID({ reason: 'it is not JSON in UTF-8' }, cause)
  }
}
