import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf, errors, TidewayError } from '@tideway/core'
import { readModel, readModelFile, writeModel } from '@tideway/onnx'
import { cloudErrors } from '../errors.js'
import { noFile } from './named-file.js'

/**
 * The bytes of an ONNX file as one: tensors that lie in files beside it are put in. Throws `FILE_NOT_LOADED`,
 * `EXTERNAL_DATA_INVALID` and what `readModel` throws.
 */
export async function modelBytes(model: string | Uint8Array): Promise<Uint8Array> {
  if (typeof model !== 'string') return model
  const bytes = new Uint8Array(
    await readFile(model).catch((cause: unknown) => {
      throw cloudErrors.FILE_NOT_LOADED({ file: model, reason: unreadable(model, cause) }, cause)
    }),
  )
  try {
    readModel(bytes)
    return bytes
  } catch (error) {
    if (codeOf(error) !== 'MODEL_EXTERNAL_DATA') throw naming(model, error)
    return writeModel(await readModelFile(bytes, { folder: dirname(model) }))
  }
}

/** What is no model, with the name of its file. */
export function naming(file: string, error: unknown): unknown {
  if (!(error instanceof TidewayError) || error.code !== 'MODEL_INVALID') return error
  return errors.MODEL_INVALID({ reason: `${file}: ${String(error.data.reason)}` }, error.cause)
}

function unreadable(file: string, cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return noFile(file)
  return code === 'EISDIR' ? 'it is a folder' : `it cannot be read (${code})`
}
