import { codeOf } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { dsCnn, resnet8 } from './networks.fixture.js'
import { readNetwork } from './text.js'

describe('readNetwork', () => {
  it.each([
    ['ResNet-8', resnet8],
    ['DS-CNN', dsCnn],
  ])('reads what a builder gives, as JSON and as YAML: %s', (_, make) => {
    const built = make()
    expect(readNetwork(JSON.stringify(built))).toEqual(JSON.parse(JSON.stringify(built)))
    expect(readNetwork(stringify(built, { aliasDuplicateObjects: false }))).toEqual(JSON.parse(JSON.stringify(built)))
  })

  it.each<[string, string, string]>([
    ['a tag', 'input: !!js/function x', 'NETWORK_TEXT_INVALID'],
    ['a key twice', 'input: 1\ninput: 2', 'NETWORK_TEXT_INVALID'],
    [
      'aliases of aliases',
      `a: &a [1,1]\n${Array.from(
        { length: 20 },
        (_, at) =>
          `${'a'.repeat(at + 2)}: &${'a'.repeat(at + 2)} [${Array(9)
            .fill(`*${'a'.repeat(at + 1)}`)
            .join()}]`,
      ).join('\n')}`,
      'NETWORK_TEXT_INVALID',
    ],
    ['no mapping', '[1', 'NETWORK_TEXT_INVALID'],
    ['another document', 'a: 1', 'INPUT_REJECTED'],
    ['a long text', ' '.repeat(1_000_001), 'NETWORK_TEXT_INVALID'],
  ])('refuses %s', (_, text, code) => {
    let found: string | undefined
    try {
      readNetwork(text)
    } catch (error) {
      found = codeOf(error)
    }
    expect(found).toBe(code)
  })
})
