import fc from 'fast-check'
import { int64s, type Value } from '../../build/value.js'
import type { Attributes } from '../../format/node.js'
import type { Case } from '../gradient.fixture.js'
import type { Properties } from './elementwise.fixture.js'
import { axesOf, axisOf, each, product, shape, size } from './shapes.fixture.js'

/** One input, vectors of constant integers, attributes. */
export const made = (
  opType: string,
  sizes: readonly number[],
  vectors: readonly (readonly number[])[],
  attributes: Attributes = {},
): Case => ({
  shapes: [sizes],
  build: (g, [x]) => g.op(opType, [x as Value, ...vectors.map((vector) => g.constant(int64s(vector)))], attributes),
})

const reshape = shape(1).chain((sizes) =>
  fc.tuple(fc.integer({ min: 0, max: sizes.length }), fc.integer({ min: 0, max: 2 })).map(([at, form]) => {
    const parts = [product(sizes.slice(0, at)), product(sizes.slice(at))]
    return made('Reshape', sizes, [form === 0 ? parts : form === 1 ? [-1, parts[1] ?? 1] : [...sizes.map(() => 0), 1]])
  }),
)

const concat = shape(1).chain((sizes) =>
  fc.tuple(axisOf(sizes.length), fc.array(size, { minLength: 1, maxLength: 4 })).chain(([axis, parts]) =>
    fc
      .subarray(
        parts.map((_, place) => place),
        { minLength: 1 },
      )
      .map(
        (by): Case => ({
          shapes: parts.map((part) => sizes.with(axis, part)),
          by,
          build: (g, inputs) => g.op('Concat', inputs, { axis: BigInt(axis) }),
        }),
      ),
  ),
)

const split = shape(1).chain((sizes) =>
  fc.tuple(axisOf(sizes.length), fc.array(size, { minLength: 1, maxLength: 3 }), fc.nat(2)).map(
    ([axis, parts, used]): Case => ({
      shapes: [
        sizes.with(
          axis,
          parts.reduce((a, b) => a + b),
        ),
      ],
      build: (g, [x]) => {
        const vector = g.constant(int64s(parts))
        const outputs = g.ops('Split', [x, vector], { axis: BigInt(axis) }, { outputs: parts.length })
        return g.op('Exp', [outputs[used % parts.length]])
      },
    }),
  ),
)

/** Starts and ends beyond both sides, steps both ways; results may be empty. */
const slice = shape(1).chain((sizes) =>
  axesOf(sizes.length).chain((axes) => {
    const bound = fc.integer({ min: -5, max: 6 })
    const row = (item: fc.Arbitrary<number>) => fc.array(item, { minLength: axes.length, maxLength: axes.length })
    return fc
      .tuple(row(bound), row(bound), row(fc.constantFrom(1, 1, 2, -1, -2)))
      .map(([starts, ends, steps]) => made('Slice', sizes, [starts, ends, axes, steps]))
  }),
)

const pad = shape(1, 3).chain((sizes) =>
  fc
    .constantFrom('constant', 'reflect', 'edge')
    .chain((mode) =>
      each([...sizes, ...sizes], (length) => [
        mode === 'constant' && length > 2 ? -1 : 0,
        mode === 'reflect' ? length - 1 : 2,
      ]).map((pads) => made('Pad', sizes, [pads], { mode })),
    ),
)

const expand = shape().chain((sizes) =>
  fc
    .tuple(
      shape(0, 1),
      each(sizes, (length) => [1, length === 1 ? 3 : 1]),
    )
    .map(([front, grown]) => made('Expand', sizes, [[...front, ...grown]])),
)

const unsqueeze = shape(0, 3).chain((sizes) =>
  axesOf(sizes.length + 2).map((axes) => {
    const chosen = axes.slice(0, 2)
    // The rank that the axes count by is that of the output.
    const rank = sizes.length + chosen.length
    return made('Unsqueeze', sizes, [
      [...new Set(chosen.map((axis) => ((axis % rank) + rank) % rank))].slice(0, chosen.length),
    ])
  }),
)

const squeeze = shape(0, 3).chain((sizes) =>
  fc
    .integer({ min: 0, max: sizes.length })
    .map((at) => made('Squeeze', sizes.toSpliced(at, 0, 1), [[at - sizes.length - 1]])),
)

export const layoutProperties: Properties = {
  Concat: concat,
  Expand: expand,
  Flatten: shape(1).chain((sizes) =>
    axisOf(sizes.length).map((axis) => made('Flatten', sizes, [], { axis: BigInt(axis) })),
  ),
  Pad: pad,
  Reshape: reshape,
  Slice: slice,
  Split: split,
  Squeeze: squeeze,
  Tile: shape(1, 3).chain((sizes) => each(sizes, () => [1, 3]).map((repeats) => made('Tile', sizes, [repeats]))),
  Transpose: shape(1).chain((sizes) =>
    fc
      .shuffledSubarray(
        sizes.map((_, axis) => BigInt(axis)),
        { minLength: sizes.length },
      )
      .map((perm) => made('Transpose', sizes, [], { perm })),
  ),
  Trilu: shape(2).chain((sizes) =>
    fc.tuple(fc.integer({ min: -3, max: 3 }), fc.constantFrom(0n, 1n)).map(
      ([diagonal, upper]): Case => ({
        shapes: [sizes],
        build: (g, [x]) => g.op('Trilu', [x, g.constant({ ...int64s([diagonal]), shape: [] })], { upper }),
      }),
    ),
  ),
  Unsqueeze: unsqueeze,
}
