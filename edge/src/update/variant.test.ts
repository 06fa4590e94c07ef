import type { Manifest, RuntimeFlags, Variant } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { checkSizes, chooseVariant, chunksOf } from './variant.js'

const blob = (name: string, ...sizes: number[]) => ({
  sha256: name.repeat(64),
  size: sizes.reduce((a, b) => a + b, 0),
  chunks: sizes.map((size, i) => ({ sha256: String(i).repeat(64), size })),
})
const variant = (id: string, change: Partial<Variant> = {}): Variant => ({
  id,
  format: 'onnx',
  precision: 'fp32',
  requires: [],
  files: [{ ...blob('a', 3, 4), path: 'model.onnx' }],
  knownAnswers: { ...blob('b', 3), rows: 1, tolerance: 1 },
  ...change,
})
const manifestOf = (...variants: Variant[]) => ({ variants }) as Manifest
const flags: RuntimeFlags = { formats: ['onnx'], providers: ['cpu', 'cuda'], precisions: ['fp32', 'int8'] }

describe('the variant', () => {
  it('is the first in the order of the manifest that the runtime can run', () => {
    const variants = [
      variant('tfjs', { format: 'tfjs' }),
      variant('half', { precision: 'fp16' }),
      variant('gpu', { requires: ['provider:webgpu'] }),
      variant('odd', { requires: ['something:new'] }),
      variant('int8', { precision: 'int8', requires: ['provider:cpu'] }),
      variant('fp32'),
    ]
    expect(chooseVariant(manifestOf(...variants), flags).id).toBe('int8')
    expect(chooseVariant(manifestOf(...variants), { ...flags, precisions: ['fp32'] }).id).toBe('fp32')
    expect(chooseVariant(manifestOf(...variants), flags, 'fp32').id).toBe('fp32')
  })

  it('of a new precision or with operators of its own goes only to a runtime that has them', () => {
    const operator = 'com.microsoft.MatMulNBits'
    const variants = [
      variant('int4', { precision: 'int4', requires: [`operator:${operator}`] }),
      variant('half', { precision: 'fp16' }),
      variant('fp32'),
    ]
    const chosen = (change: Partial<RuntimeFlags>) => chooseVariant(manifestOf(...variants), { ...flags, ...change }).id
    const precisions = ['fp32', 'fp16', 'int4']
    expect(chosen({ precisions, operators: [operator] })).toBe('int4')
    expect(chosen({ precisions, operators: ['com.microsoft.Other'] })).toBe('half')
    expect(chosen({ precisions })).toBe('half')
    expect(chosen({ operators: [operator] })).toBe('fp32')
  })

  it('with a need of a kind that nobody knows is left, whatever the need is called', () => {
    for (const need of ['operator', 'constructor:x', 'provider', ':cpu', 'cpu'])
      expect(chooseVariant(manifestOf(variant('odd', { requires: [need] }), variant('fp32')), flags).id).toBe('fp32')
  })

  it('is none when nothing fits, or not the one that is insisted on', () => {
    const manifest = manifestOf(variant('half', { precision: 'fp16' }), variant('fp32'))
    for (const insistedOn of ['half', 'missing']) {
      expect(() => chooseVariant(manifest, flags, insistedOn)).toThrowError(
        expect.objectContaining({
          code: 'VARIANT_UNSUPPORTED',
          data: expect.objectContaining({ variants: [insistedOn] }),
        }),
      )
    }
    expect(() => chooseVariant(manifest, { ...flags, formats: ['tfjs'] })).toThrowError(
      expect.objectContaining({ code: 'VARIANT_UNSUPPORTED' }),
    )
  })

  it('names each chunk once, and is refused when its sizes cannot be or are too much', () => {
    expect(chunksOf(variant('v')).map(({ size }) => size)).toEqual([3, 4])
    checkSizes(variant('v'), 10)
    expect(() => checkSizes(variant('v'), 9)).toThrowError(expect.objectContaining({ code: 'TOO_LARGE' }))
    const wrong = variant('v', { files: [{ ...blob('a', 3, 4), size: 8, path: 'model.onnx' }] })
    expect(() => checkSizes(wrong, 100)).toThrowError(expect.objectContaining({ code: 'INPUT_REJECTED' }))
  })
})
