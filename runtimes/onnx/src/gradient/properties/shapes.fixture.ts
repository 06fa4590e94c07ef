import fc from 'fast-check'

/** Sizes with 1, where broadcasting and squeezing decide, more often than others. */
export const size = fc.oneof(
  { weight: 2, arbitrary: fc.constant(1) },
  { weight: 5, arbitrary: fc.integer({ min: 2, max: 4 }) },
)

export const shape = (minRank = 0, maxRank = 4): fc.Arbitrary<number[]> =>
  fc.array(size, { minLength: minRank, maxLength: maxRank })

/** Now and then without any element. */
export const maybeEmpty = (minRank = 0): fc.Arbitrary<number[]> =>
  fc.oneof(
    { weight: 6, arbitrary: shape(minRank) },
    { weight: 1, arbitrary: shape(Math.max(1, minRank), 3).map((sizes) => sizes.with(0, 0)) },
  )

/** Shapes that broadcast to one: each a tail of it with some sizes 1. */
export const broadcasting = (count: number): fc.Arbitrary<number[][]> =>
  maybeEmpty().chain((whole) =>
    fc.array(
      fc
        .tuple(fc.integer({ min: 0, max: whole.length }), fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }))
        .map(([from, ones]) => whole.slice(from).map((length, axis) => (ones[axis] ? 1 : length))),
      { minLength: count, maxLength: count },
    ),
  )

/** An axis of a tensor of this rank, from either end. */
export const axisOf = (rank: number): fc.Arbitrary<number> => fc.integer({ min: -rank, max: rank - 1 })

export const axesOf = (rank: number): fc.Arbitrary<number[]> =>
  fc
    .subarray(
      Array.from({ length: rank }, (_, axis) => axis),
      { minLength: 1 },
    )
    .chain((axes) =>
      fc.constantFrom(
        axes,
        axes.map((axis) => axis - rank),
      ),
    )

/** As many numbers as an array of sizes, each in a range that its size decides. */
export const each = (sizes: readonly number[], range: (size: number) => [number, number]): fc.Arbitrary<number[]> =>
  fc.tuple(
    ...sizes.map((length) => {
      const [min, max] = range(length)
      return fc.integer({ min, max })
    }),
  )

export const product = (sizes: readonly number[]): number => sizes.reduce((a, b) => a * b, 1)
