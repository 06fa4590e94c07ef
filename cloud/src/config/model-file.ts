import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '@tideway/core'
import { readModel, readModelFile, writeModel } from '@tideway/onnx'
import { cloudErrors } from '../errors.js'

/**
 * The bytes of an ONNX file as one: tensors that lie in files beside it are put in. Throws `FILE_NOT_LOADED`,
 * `EXTERNAL_DATA_INVALID` and what `readModel` throws.
 */
export async function modelBytes(model: string | Uint8Array): Promise<Uint8Array> {
  if (typeof model !== 'string') return model
  const bytes = new Uint8Array(
    await readFile(model).catch((cause: unknown) => {
      throw cloudErrors.FILE_NOT_LOADED({ file: model, reason: 'it cannot be read' }, cause)
    }),
  )
  try {
    readModel(bytes)
    return bytes
  } catch (error) {
    if (codeOf(error) !== 'MODEL_EXTERNAL_DATA') throw error
    return writeModel(await readModelFile(bytes, { folder: dirname(model) }))
  }
}
