import { basename } from 'node:path'
import type { Runtime, Session, Signature } from '@tideway/core'
import { formOf, type ModelForm, readModel } from '@tideway/onnx'
import { modelBytes, naming } from '../config/model-file.js'
import { cloudErrors } from '../errors.js'

/** One form of a model: a file of it, and what runs it. */
export interface OpenedFile extends ModelForm {
  readonly file: string
  readonly onnx: Uint8Array
  readonly session: Session
}

/**
 * Opens files that are forms of one model, smallest first: in this order a device takes what it can run. Throws
 * `FILE_NOT_LOADED`, `MODEL_INVALID`, and `REGISTER_ORDER_INVALID` where they do not go together; what was opened is closed then.
 */
export async function openFiles(files: readonly string[], runtime: Runtime): Promise<readonly OpenedFile[]> {
  const opened: OpenedFile[] = []
  try {
    for (const file of files) {
      const onnx = await modelBytes(file)
      const session = await runtime.load(onnx).catch((error: unknown) => {
        throw naming(file, error)
      })
      opened.push({ file, onnx, session, ...formOf(readModel(onnx)) })
    }
    const issues = [...twice(opened), ...unlike(opened)]
    if (issues.length > 0) throw cloudErrors.REGISTER_ORDER_INVALID({ issues })
    return opened.toSorted((a, b) => a.onnx.byteLength - b.onnx.byteLength)
  } catch (error) {
    await closeFiles(opened)
    throw error
  }
}

export async function closeFiles(opened: readonly OpenedFile[]): Promise<void> {
  await Promise.all(opened.map(({ session }) => session.dispose()))
}

/** A variant is known by its precision. */
function twice(opened: readonly OpenedFile[]): string[] {
  return opened.flatMap(({ file, precision }, at) => {
    const first = opened.findIndex((other) => other.precision === precision)
    return first < at ? [`${file}: it is of ${precision}, as ${opened[first]!.file} is`] : []
  })
}

function unlike([first, ...others]: readonly OpenedFile[]): string[] {
  if (first === undefined) return []
  const wanted = written(first.session.signature)
  return others.flatMap(({ file, session }) => {
    const have = written(session.signature)
    return have === wanted ? [] : [`${file}: it takes and gives ${have}, but ${basename(first.file)} ${wanted}`]
  })
}

function written({ inputs, outputs }: Signature): string {
  const list = (specs: Signature['inputs']) =>
    specs.map(({ name, dtype, shape }) => `${name} ${dtype}[${shape.map((size) => size ?? '?').join(',')}]`).join(', ')
  return `(${list(inputs)}) → (${list(outputs)})`
}
