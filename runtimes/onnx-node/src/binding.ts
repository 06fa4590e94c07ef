import { createRequire } from 'node:module'
import type * as Ort from 'onnxruntime-node'
import { errors } from './errors.js'

export type OrtModule = typeof Ort

const require = createRequire(import.meta.url)

/**
 * Loads onnxruntime-node on first use: a machine without its native binary can still import this package and be told
 * what to do. Throws `RUNTIME_UNAVAILABLE`.
 */
export function loadBinding(): OrtModule {
  try {
    return require('onnxruntime-node') as OrtModule
  } catch (cause) {
    throw errors.RUNTIME_UNAVAILABLE({ platform: process.platform, arch: process.arch, reason: reasonOf(cause) }, cause)
  }
}

function reasonOf(cause: unknown): string {
  const text = firstLine(cause)
  if (/Cannot find module 'onnxruntime-node'/.test(text)) return 'the package is not installed'
  if (/Cannot find module .*onnxruntime_binding\.node/.test(text)) return 'it has no binary for this platform'
  return text
}

/** Native messages may run over many lines (stack frames, graphs); the first one says what happened. */
export function firstLine(cause: unknown): string {
  const text = cause instanceof Error ? cause.message : String(cause)
  return text.trim().split('\n', 1)[0]?.slice(0, 500) ?? ''
}
