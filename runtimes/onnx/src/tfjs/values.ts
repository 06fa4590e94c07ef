import type { GraphBuilder } from '../build/graph-builder.js'
import type { Value } from '../build/value.js'
import { attr, type GraphDef, type Ref } from './graph-def.js'
import { permuted, type Stored, storedOf, tfType } from './tensor.js'

/** A value in the graph: as ONNX has it, with its channels as the last axis, or both. */
export interface Form {
  readonly first?: Ref
  readonly last?: Ref
}

/** Why a node cannot be written. */
export class Refused extends Error {
  override name = 'Refused'
}

const count = (rank: number): number[] => Array.from({ length: rank }, (_, axis) => axis)
/** [n, c, ...] to [n, ..., c]. */
export const toLast = (rank: number): number[] => [0, ...count(rank).slice(2), 1]
/** [n, ..., c] to [n, c, ...]. */
export const toFirst = (rank: number): number[] => [0, rank - 1, ...count(rank).slice(1, -1)]

/**
 * The values of an ONNX graph on their way into a GraphDef. TensorFlow.js computes images channels last: a value stays in
 * the layout that it was computed in, and gets the other one when somebody asks for it, so that no two neighbours turn an
 * image there and back.
 */
export class Values {
  /** The values that a tensor stands for: an image and the same with its channels said to lie elsewhere. */
  private readonly owners = new Map<Ref, readonly string[]>()
  private readonly forms = new Map<string, { first?: Ref; last?: Ref }>()

  constructor(
    private readonly builder: GraphBuilder,
    readonly graph: GraphDef,
    /** How often each value is taken, by its name. */
    private readonly uses: ReadonlyMap<string, number>,
  ) {}

  set(value: Value, form: Form): void {
    this.forms.set(value.name, { ...form })
    for (const ref of [form.first, form.last])
      if (ref !== undefined) this.owners.set(ref, [...(this.owners.get(ref) ?? []), value.name])
  }

  /** The tensor of a value that is stored in the model. */
  constant(value: Value): Stored | undefined {
    const tensor = this.builder.tensorOf(value.name)
    return tensor && storedOf(tensor)
  }

  isConstant(value: Value): boolean {
    return this.builder.tensorOf(value.name) !== undefined
  }

  /** Whether a value is an image that exists with its channels last only. */
  isLast(value: Value): boolean {
    const form = this.forms.get(value.name)
    return form?.last !== undefined && form.first === undefined
  }

  /** The value activated by the node that gives it, where the node can and nothing else takes what it gives. */
  activated(value: Value, activation: string): Form | undefined {
    const form = this.forms.get(value.name)
    const ref = form?.first === undefined ? form?.last : form.last === undefined ? form.first : undefined
    if (ref === undefined || !this.owners.get(ref)?.every((name) => this.uses.get(name) === 1)) return undefined
    return this.graph.fuse(ref, activation) ? form : undefined
  }

  /** As ONNX has it. */
  first(value: Value): Ref {
    const form = this.form(value)
    form.first ??= this.turned(value, form.last as Ref, true)
    return form.first
  }

  /** Channels last. */
  last(value: Value): Ref {
    const form = this.form(value)
    form.last ??= this.turned(value, form.first as Ref, false)
    return form.last
  }

  /** Channels last, for a result of some rank to whose shape the value broadcasts. */
  lastTo(rank: number, value: Value): Ref {
    const constant = this.constant(value)
    if (value.shape.length === 0) return this.first(value)
    if (constant === undefined) return this.last(value)
    const shape = [...Array<number>(rank - constant.shape.length).fill(1), ...constant.shape]
    return this.graph.constant(permuted({ ...constant, shape }, toLast(rank)), value.name)
  }

  private form(value: Value): { first?: Ref; last?: Ref } {
    const known = this.forms.get(value.name)
    if (known !== undefined) return known
    if (!this.isConstant(value)) throw new Refused(`"${value.name}" is not given when the model is used`)
    const tensor = this.constant(value)
    if (tensor === undefined)
      throw new Refused(
        tfType(value.dtype) === undefined
          ? `"${value.name}" is ${value.dtype}, which TensorFlow.js does not have`
          : `"${value.name}" holds integers beyond 32 bits`,
      )
    const made = { first: this.graph.constant(tensor, value.name) }
    this.forms.set(value.name, made)
    return made
  }

  /** An image with its channels moved to the front or to the end. */
  private turned(value: Value, from: Ref, isToFirst: boolean): Ref {
    const ints = (values: readonly number[]): Ref =>
      this.graph.constant({ dtype: 'int32', shape: [values.length], data: Int32Array.from(values) })
    const [, channels = 1, ...spatial] = value.shape
    // One pixel's channels lie alike in both.
    if (typeof channels === 'number' && spatial.every((size) => size === 1)) {
      const ones = spatial.map(() => 1)
      const shape = isToFirst ? [-1, channels, ...ones] : [-1, ...ones, channels]
      return this.graph.op('Reshape', `${value.name}/turned`, [from, ints(shape)])
    }
    const perm = (isToFirst ? toFirst : toLast)(value.shape.length)
    return this.graph.op('Transpose', `${value.name}/turned`, [from, ints(perm)], {
      T: attr.type(tfType(value.dtype) ?? 'float32'),
    })
  }
}
