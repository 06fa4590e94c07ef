import { errors, toJsonBytes } from '@tideway/core'
import { encodeBase64 } from './base64.js'
import type { Stored, TfType } from './tensor.js'

/** A tensor in a graph: the name of the node that gives it, with `:place` behind it for an output after the first. */
export type Ref = string

/** An attribute as TensorFlow's AttrValue is in JSON: integers as text, texts in base64. */
type Attr = Readonly<Record<string, unknown>>
export type Attrs = Readonly<Record<string, Attr>>

export const attr = {
  int: (value: number): Attr => ({ i: String(value) }),
  float: (value: number): Attr => ({ f: value }),
  bool: (value: boolean): Attr => ({ b: value }),
  text: (value: string): Attr => ({ s: btoa(value) }),
  ints: (values: readonly number[]): Attr => ({ list: { i: values.map(String) } }),
  texts: (values: readonly string[]): Attr => ({ list: { s: values.map((value) => btoa(value)) } }),
  type: (dtype: TfType): Attr => ({ type: DATA_TYPES[dtype] }),
  shape: (sizes: readonly (number | null)[]): Attr => ({ shape: shapeOf(sizes) }),
}

/** TensorFlow's DataType. */
const DATA_TYPES: Readonly<Record<TfType, string>> = { float32: 'DT_FLOAT', int32: 'DT_INT32', bool: 'DT_BOOL' }

const shapeOf = (sizes: readonly (number | null)[]) => ({ dim: sizes.map((size) => ({ size: String(size ?? -1) })) })

/** Operators that add a bias, and take an activation too. */
const FUSED: ReadonlySet<string> = new Set(['_FusedConv2D', '_FusedMatMul', 'FusedDepthwiseConv2dNative'])
export const WITH_BIAS: Attrs = { num_args: attr.int(1), fused_ops: attr.texts(['BiasAdd']) }

interface NodeDef {
  readonly name: string
  readonly op: string
  readonly input?: readonly Ref[]
  readonly attr: Attrs
}

/** A named input or output of the model. */
export interface Endpoint {
  readonly name: string
  readonly ref: Ref
  readonly dtype: TfType
  readonly shape: readonly (number | null)[]
}

/** Constants up to this size are stored once for equal values. */
const SMALL_ELEMENTS = 64
/** Larger ones are no string of V8, which is what reads them. */
const MAX_BYTES = 384 * 2 ** 20

/**
 * A TensorFlow GraphDef under construction (tensorflow/core/framework/graph.proto), to be written as the model.json that
 * TensorFlow.js calls a Graph model.
 */
export class GraphDef {
  private readonly nodes = new Map<string, NodeDef>()
  private readonly weights = new Map<string, Stored>()
  private readonly shared = new Map<string, Ref>()

  placeholder(name: string, dtype: TfType, shape: readonly (number | null)[]): Ref {
    return this.add('Placeholder', name, [], { dtype: attr.type(dtype), shape: attr.shape(shape) })
  }

  constant(tensor: Stored, wanted = 'constant'): Ref {
    const { dtype, shape, data } = tensor
    const isSmall = data.length <= SMALL_ELEMENTS
    // The sign of zero, too, tells constants apart.
    const texts = isSmall ? Array.from(data as ArrayLike<number>, (item) => (Object.is(item, -0) ? '-0' : item)) : []
    const key = `${dtype}[${shape.join()}]${texts.join()}`
    const known = isSmall ? this.shared.get(key) : undefined
    if (known !== undefined) return known
    const ref = this.add('Const', wanted, [], { dtype: attr.type(dtype) })
    this.weights.set(ref, tensor)
    if (isSmall) this.shared.set(key, ref)
    return ref
  }

  op(op: string, wanted: string, inputs: readonly Ref[], attrs: Attrs = {}): Ref {
    return this.add(op, wanted, inputs, attrs)
  }

  /** Makes an activation part of the node that gives a tensor, where that can have one: then the tensor is activated. */
  fuse(ref: Ref, activation: string): boolean {
    const node = this.nodes.get(ref)
    if (node === undefined || !FUSED.has(node.op) || node.attr['fused_ops'] !== WITH_BIAS['fused_ops']) return false
    this.nodes.set(ref, { ...node, attr: { ...node.attr, fused_ops: attr.texts(['BiasAdd', activation]) } })
    return true
  }

  /** The model.json with its weights inside as a data URL; nodes that no output needs are left out. Throws `TOO_LARGE`. */
  write(inputs: readonly Endpoint[], outputs: readonly Endpoint[]): Uint8Array<ArrayBuffer> {
    const needed = this.needed([...inputs, ...outputs].map(({ ref }) => ref))
    const weights = [...this.weights].filter(([name]) => needed.has(name))
    const size = weights.reduce((sum, [, { data }]) => sum + data.byteLength, 0)
    const tooLarge = (bytes: number) => errors.TOO_LARGE({ what: 'the model as one file', bytes, maxBytes: MAX_BYTES })
    if ((size * 4) / 3 > MAX_BYTES) throw tooLarge(size)
    const whole = new Uint8Array(size)
    let offset = 0
    for (const [, { data }] of weights) {
      whole.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset)
      offset += data.byteLength
    }
    const bytes = toJsonBytes({
      format: 'graph-model',
      generatedBy: 'tideway',
      modelTopology: { node: [...this.nodes.values()].filter(({ name }) => needed.has(name)), versions: {} },
      signature: { inputs: signature(inputs), outputs: signature(outputs) },
      weightsManifest: [
        {
          paths: [`data:application/octet-stream;base64,${encodeBase64(whole)}`],
          weights: weights.map(([name, { dtype, shape }]) => ({ name, shape, dtype })),
        },
      ],
    })
    if (bytes.byteLength > MAX_BYTES) throw tooLarge(bytes.byteLength)
    return bytes
  }

  private add(op: string, wanted: string, input: readonly Ref[], attrs: Attrs): Ref {
    const name = this.fresh(wanted)
    this.nodes.set(name, { name, op, ...(input.length > 0 && { input }), attr: attrs })
    return name
  }

  /** TensorFlow's names: no colon, which counts outputs, and no "^", which orders nodes. */
  private fresh(wanted: string): string {
    const plain = wanted.replaceAll(/[^A-Za-z0-9_./\\-]/g, '_').replace(/^(?![A-Za-z0-9.])/, 'n')
    if (!this.nodes.has(plain)) return plain
    for (let at = this.nodes.size; ; at++) if (!this.nodes.has(`${plain}_${at}`)) return `${plain}_${at}`
  }

  private needed(refs: readonly Ref[]): Set<string> {
    const needed = new Set<string>()
    const open = [...refs]
    for (let ref = open.pop(); ref !== undefined; ref = open.pop()) {
      const name = ref.split(':')[0] as string
      if (needed.has(name)) continue
      needed.add(name)
      open.push(...(this.nodes.get(name)?.input ?? []))
    }
    return needed
  }
}

/** TensorFlow's TensorInfo by the name that a caller uses. */
const signature = (ends: readonly Endpoint[]) =>
  Object.fromEntries(
    ends.map(({ name, ref, dtype, shape }) => [
      name,
      { name: ref.includes(':') ? ref : `${ref}:0`, dtype: DATA_TYPES[dtype], tensorShape: shapeOf(shape) },
    ]),
  )
