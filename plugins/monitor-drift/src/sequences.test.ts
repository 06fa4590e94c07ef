import { describe, expect, it } from 'vitest'
import { createSequences } from './sequences.js'

describe('sequences', () => {
  it('remember exactly what was added, in any order', () => {
    for (let step = 1; step < 40; step += 2) {
      const sequences = createSequences()
      const plain = new Set<number>()
      for (let i = 0; i < 300; i++) {
        const value = 1 + ((i * step * 7 + (i % 5) * 3) % 97)
        expect(sequences.add(value), `${value} with step ${step}`).toBe(!plain.has(value))
        plain.add(value)
      }
    }
  })
})
