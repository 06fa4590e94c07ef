import { z } from 'zod'

/** Nodes to leave in float, by name (else `Operator:first output`), as results and reports call them. */
const keep = z.array(z.string().min(1).max(1023)).max(10_000)
/** Smaller constants stay as they are: their names and scales would weigh more than what is won. */
const minElements = z.int().positive()

/** What becomes of layers that the scheme itself has no form for. */
const rest = z.enum(['float', 'int8-weights'])

/**
 * Where weights meet float arithmetic. `folded`: an engine computes them as float32 once, when it loads the model, then
 * runs at float's speed with float's memory. `stored`: they stay small in memory and are expanded, or multiplied as
 * integers, in each run; that is faster for products of few rows and slower for convolutions and large batches.
 */
const weightForm = z.enum(['folded', 'stored'])

/** How a model is made smaller, and the settings of that way. Settings that are left out come from `recipeDefaults`. */
export const recipeSchema = z.discriminatedUnion('scheme', [
  /** Weights and activations as 8-bit integers; ranges of activations from calibration rows. */
  z.strictObject({
    scheme: z.literal('int8-static'),
    keep: keep.optional(),
    /**
     * `qdq`: all that can be computed on integers is. `fastest`: that, or weights alone as integers, by what takes less
     * for one row on the machine that makes the file.
     */
    form: z.enum(['qdq', 'fastest']).optional(),
  }),
  /** Weights as integers, activations in each run by what that run sees; no calibration rows. */
  z.strictObject({
    scheme: z.literal('int8-dynamic'),
    keep: keep.optional(),
    minElements: minElements.optional(),
    /**
     * 7: int8 weights, fast everywhere. 8: uint8 weights around 128, half the rounding error, and slower on x86 without
     * VNNI. Neither saturates there.
     */
    weightBits: z.union([z.literal(7), z.literal(8)]).optional(),
    /** Products of two activations, as in attention, too: slower for short sequences, faster from some 256 steps on. */
    attention: z.boolean().optional(),
    rest: rest.optional(),
  }),
  /** Weights alone as 8-bit integers, by channel; arithmetic stays float. */
  z.strictObject({
    scheme: z.literal('int8-weights'),
    keep: keep.optional(),
    minElements: minElements.optional(),
    form: weightForm.optional(),
  }),
  /** Weights of dense layers as 4-bit integers, each block of `blockSize` inputs with its own scale. */
  z.strictObject({
    scheme: z.literal('int4-weights'),
    keep: keep.optional(),
    minElements: minElements.optional(),
    blockSize: z.union([z.literal(16), z.literal(32), z.literal(64), z.literal(128), z.literal(256)]).optional(),
    /** Without zero points: 2% smaller, at about 3 dB more error. */
    symmetric: z.boolean().optional(),
    /**
     * Whether engines may round activations to 8 bits within a block, too. It is several times faster where they do, at
     * an error far below that of 4-bit weights.
     */
    integerProducts: z.boolean().optional(),
    /**
     * `operator`: one node of ONNX Runtime's own (`MatMulNBits`), for a model of any operator set. `standard`: operators
     * of ONNX itself, which needs operator set 21. `auto`: `standard` where the model allows it.
     */
    form: z.enum(['auto', 'operator', 'standard']).optional(),
    rest: rest.optional(),
  }),
  /** Weights and activations as float16 between float32 inputs and outputs; what loses too much stays in float32. */
  z.strictObject({ scheme: z.literal('fp16'), keep: keep.optional() }),
  /** Weights alone as float16; arithmetic stays float32. */
  z.strictObject({
    scheme: z.literal('fp16-weights'),
    keep: keep.optional(),
    minElements: minElements.optional(),
  }),
])

export type Recipe = z.infer<typeof recipeSchema>
export type Scheme = Recipe['scheme']
export type RecipeOf<S extends Scheme> = Extract<Recipe, { scheme: S }>

/** Elements from which a constant is worth another form, by what that form adds to the file. */
export const recipeDefaults = Object.freeze({
  'int8-static': Object.freeze({ keep: [], form: 'qdq' }),
  'int8-dynamic': Object.freeze({ keep: [], minElements: 256, weightBits: 7, attention: false, rest: 'float' }),
  'int8-weights': Object.freeze({ keep: [], minElements: 256, form: 'folded' }),
  'int4-weights': Object.freeze({
    keep: [],
    minElements: 256,
    blockSize: 32,
    symmetric: false,
    integerProducts: true,
    form: 'auto',
    rest: 'float',
  }),
  fp16: Object.freeze({ keep: [] }),
  'fp16-weights': Object.freeze({ keep: [], minElements: 64 }),
} as const satisfies { [S in Scheme]: Required<Omit<RecipeOf<S>, 'scheme'>> })

export const SCHEMES = Object.freeze(Object.keys(recipeDefaults) as Scheme[])

/** A recipe with nothing left out. */
export type ResolvedRecipe<S extends Scheme = Scheme> = { [K in S]: Required<RecipeOf<K>> }[S]

/** Fills in what a recipe leaves out; a scheme's name alone is a recipe, too. */
export function resolveRecipe<S extends Scheme>(recipe: RecipeOf<S> | S): ResolvedRecipe<S> {
  const given = typeof recipe === 'string' ? { scheme: recipe } : recipe
  const set = Object.entries(given).filter(([, value]) => value !== undefined)
  // The table's type pairs each scheme with its settings; the compiler cannot follow one key through both.
  return { ...recipeDefaults[given.scheme], ...Object.fromEntries(set) } as unknown as ResolvedRecipe<S>
}

/** The precision, as in `Variant.precision`, of what a scheme makes. */
export const precisionOf = Object.freeze({
  'int8-static': 'int8',
  'int8-dynamic': 'int8',
  'int8-weights': 'int8',
  'int4-weights': 'int4',
  fp16: 'fp16',
  'fp16-weights': 'fp16',
} as const satisfies Record<Scheme, string>)

export type QuantizedPrecision = (typeof precisionOf)[Scheme]

/** The scheme that a precision alone asks for. */
export const schemeOf = Object.freeze({
  int8: 'int8-static',
  int4: 'int4-weights',
  fp16: 'fp16',
} as const satisfies Record<QuantizedPrecision, Scheme>)
