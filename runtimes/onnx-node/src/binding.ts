import { createRequire } from 'node:module'
import { errors, firstLine } from '@tideway/core/runtime'
import type * as Ort from 'onnxruntime-node'

export type OrtModule = typeof Ort

const require = createRequire(import.meta.url)

/** Kept here: `require` takes a tenth of a millisecond to find again what it has loaded, a fifth of what a small model takes. */
let loaded: OrtModule | undefined

/**
 * Loads onnxruntime-node on first use: a machine without its native binary can still import this package and be told
 * what to do. Throws `RUNTIME_UNAVAILABLE`.
 */
export function loadBinding(): OrtModule {
  try {
    loaded ??= require('onnxruntime-node') as OrtModule
    return loaded
  } catch (cause) {
    const { platform, arch } = process
    throw errors.RUNTIME_UNAVAILABLE({ engine: 'onnxruntime-node', platform, arch, reason: reasonOf(cause) }, cause)
  }
}

function reasonOf(cause: unknown): string {
  const text = firstLine(cause)
  if (/Cannot find module 'onnxruntime-node'/.test(text)) return 'the package is not installed'
  if (/Cannot find module .*onnxruntime_binding\.node/.test(text)) return 'it has no binary for this platform'
  return text
}
