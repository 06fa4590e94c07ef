import { makeNode } from '../../format/node.js'
import { ELEMENT_TYPE } from '../../format/types.js'
import type { Node } from '../../generated/onnx_pb.js'
import type { GraphEdit } from '../graph/edit.js'

/** A tensor as uint8, with the names of its scale and zero point. */
export interface QuantizedActivation {
  readonly integers: string
  readonly scale: string
  readonly zeroPoint: string
}

/** Quantizes each activation once, where it is first read. */
export class Activations {
  private readonly known = new Map<string, QuantizedActivation>()

  constructor(private readonly edit: GraphEdit) {}

  /** Appends the node that quantizes a tensor to `nodes`, unless an earlier one does. */
  quantize(name: string, nodes: Node[]): QuantizedActivation {
    const known = this.known.get(name)
    if (known !== undefined) return known
    const fresh = (suffix: string) => this.edit.fresh(`${name}_${suffix}`)
    const made = { integers: fresh('q'), scale: fresh('s'), zeroPoint: fresh('z') }
    nodes.push(makeNode('DynamicQuantizeLinear', [name], [made.integers, made.scale, made.zeroPoint]))
    this.known.set(name, made)
    return made
  }
}

/**
 * The product of integers as floats: (a - za) · (b - zb) in int32, times both scales. ONNX Runtime makes one node of this
 * order of operators, with the product of the scales first, and of an Add of a bias behind it.
 */
export function integerProduct(
  edit: GraphEdit,
  a: QuantizedActivation,
  b: { readonly integers: string; readonly scale: string; readonly zeroPoint: string | undefined },
  output: string,
): Node[] {
  const [sums, floats, scale] = [edit.fresh(`${output}_i`), edit.fresh(`${output}_c`), edit.fresh(`${output}_m`)]
  const zeros = b.zeroPoint === undefined ? [a.zeroPoint] : [a.zeroPoint, b.zeroPoint]
  return [
    makeNode('MatMulInteger', [a.integers, b.integers, ...zeros], [sums]),
    makeNode('Cast', [sums], [floats], { to: BigInt(ELEMENT_TYPE.float32) }),
    makeNode('Mul', [a.scale, b.scale], [scale]),
    makeNode('Mul', [floats, scale], [output]),
  ]
}
