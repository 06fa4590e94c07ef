/** A set of whole numbers kept as ranges: reports of a boot come in order, nearly always, so it stays tiny. */
export interface Sequences {
  /** False when it was there already. */
  add(value: number): boolean
}

export function createSequences(): Sequences {
  // Ascending, disjoint and not adjacent; both ends belong to the range.
  const ranges: { first: number; last: number }[] = []

  /** Index of the first range that ends at or after `value - 1`: what holds it, touches it from below, or follows it. */
  function find(value: number): number {
    let low = 0
    let high = ranges.length
    while (low < high) {
      const middle = (low + high) >> 1
      if ((ranges[middle]?.last ?? 0) < value - 1) low = middle + 1
      else high = middle
    }
    return low
  }

  return {
    add(value) {
      const index = find(value)
      const range = ranges[index]
      if (!range || range.first > value + 1) {
        ranges.splice(index, 0, { first: value, last: value })
        return true
      }
      if (range.first <= value && value <= range.last) return false
      if (value < range.first) range.first = value
      else {
        range.last = value
        const next = ranges[index + 1]
        if (next && next.first === value + 1) {
          range.last = next.last
          ranges.splice(index + 1, 1)
        }
      }
      return true
    },
  }
}
