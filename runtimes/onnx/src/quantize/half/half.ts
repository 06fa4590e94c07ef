import type { DataType, ResolvedRecipe, Runtime, Tensors } from '@tideway/core'
import { makeNode } from '../../format/node.js'
import { ELEMENT_TYPE } from '../../format/types.js'
import type { Node } from '../../generated/onnx_pb.js'
import { halfIssue, MAX_HALF, toHalf } from '../formats/half.js'
import type { Kept, Outcome, Work } from '../scheme.js'
import { capturedBy, labelOf, subgraphsOf } from '../view.js'
import { attributeNumbers, halfOperatorOf, keptReason, numbersOf } from './operators.js'
import { peaksOf } from './peaks.js'
import { storeHalf } from './storage.js'
import { typesOf } from './types.js'

/** How much larger than in calibration values may come in service. */
const HEADROOM = 2

/**
 * Weights and activations as float16 between float32 inputs and outputs. Operators that lose too much (normalizations,
 * softmax, sums of many), can leave float16's range, or have no kernel stay in float32 behind casts; of these, the
 * weights of recurrent layers are stored as float16 nevertheless. Cheap operators become float16 only next to a layer
 * that is, so that no cast is there for them alone.
 *
 * A layer stays in float32, and is named, if a constant of it is beyond 65,504 or too small, or if calibration rows show
 * that its results come near that limit.
 *
 * An engine without float16 kernels for a processor (ONNX Runtime on x86) computes in float32 and casts in between.
 */
export async function half(
  work: Work,
  recipe: ResolvedRecipe<'fp16'>,
  calibration: Tensors,
  runtime: Runtime,
): Promise<Outcome> {
  const types = typesOf(work.view.graph)
  const peaks = await peaksOf(work.model, valuesToWatch(work, types), calibration, runtime)
  const plan = new HalfPlan(work, types, peaks, new Set(recipe.keep))
  plan.run()
  const stored = storeHalf(work, {
    keep: recipe.keep,
    minElements: 64,
    only: (node) => RECURRENT.has(node.opType ?? ''),
  })
  return { quantized: [...plan.quantized, ...stored.quantized], kept: plan.kept, requires: [] }
}

/** What operators that can be float16 read and give, constants aside. */
function valuesToWatch({ view }: Work, types: ReadonlyMap<string, DataType>): Set<string> {
  const names = view.graph.node.flatMap((node) => {
    const operator = halfOperatorOf(node)
    return operator === undefined ? [] : [...numbersOf(node, operator), ...node.output]
  })
  return new Set(names.filter((name) => types.get(name) === 'float32' && view.constant(name) === undefined))
}

const RECURRENT = new Set(['LSTM', 'GRU', 'RNN'])

class HalfPlan {
  readonly quantized: string[] = []
  readonly kept: Kept[] = []
  /** Values that exist as float16, by their float32 name. */
  private readonly halves = new Map<string, string>()
  /** Values of which only the float16 form is computed. */
  private readonly onlyHalf = new Set<string>()

  constructor(
    private readonly work: Work,
    private readonly types: ReadonlyMap<string, DataType>,
    private readonly peaks: ReadonlyMap<string, number>,
    private readonly keep: ReadonlySet<string>,
  ) {}

  run(): void {
    for (const node of this.work.view.graph.node) {
      if (node.opType === 'Constant') continue
      const reason = this.reasonToKeep(node)
      if (reason === undefined) this.convert(node)
      else this.leave(node, reason)
    }
    this.close()
  }

  private isFloat = (name: string) => this.types.get(name) === 'float32'

  /** Why a node stays in float32; empty for one that computes nothing in it. */
  private reasonToKeep(node: Node): string | undefined {
    const { view } = this.work
    if (subgraphsOf(node).length === 0 && ![...node.input, ...node.output].some(this.isFloat)) return ''
    if (this.keep.has(labelOf(node))) return 'it was asked to stay'
    const operator = halfOperatorOf(node)
    if (operator === undefined) return keptReason(node)
    const numbers = numbersOf(node, operator)
    if (!numbers.every(this.isFloat)) return numbers.some(this.isFloat) ? 'the types of its inputs are not known' : ''
    const computed = numbers.filter((name) => view.constant(name) === undefined)
    if (operator.leads === undefined && !computed.some((name) => this.halves.has(name)) && !isTable(node, computed))
      return node.opType === 'Shape' ? '' : 'nothing next to it is float16'
    // The quotient grows without bounds as a divisor that is computed comes near zero.
    if (node.opType === 'Div' && computed.includes(node.input[1] ?? '')) return 'its divisor is computed'
    const constants = numbers.map((name) => [this.valuesOf(name), isAdded(node, name)] as const)
    for (const [values, added] of [...constants, [attributeNumbers(node), false] as const]) {
      const issue = halfIssue(values, added && values.length > 1)
      if (issue !== undefined) return issue
    }
    const high = [...computed, ...node.output].find((name) => (this.peaks.get(name) ?? 0) * HEADROOM > MAX_HALF)
    return high === undefined ? undefined : `calibration rows bring "${high}" near ${MAX_HALF}, the largest float16`
  }

  private valuesOf(name: string): Float32Array {
    const tensor = this.work.view.constant(name)
    return tensor?.dtype === 'float32' ? tensor.data : new Float32Array(0)
  }

  private convert(node: Node): void {
    const { edit, done } = this.work
    const operator = halfOperatorOf(node) ?? {}
    const numbers = new Set(numbersOf(node, operator))
    const casts: Node[] = []
    const input = node.input.map((name) => (numbers.has(name) ? this.halfOf(name, casts) : name))
    const output = node.output.map((name, i) => {
      if (!this.isFloat(name) || (i > 0 && operator.outputs !== 'all')) return name
      const made = edit.fresh(`${name}_h`)
      this.halves.set(name, made)
      this.onlyHalf.add(name)
      return made
    })
    edit.replace(node, [...casts, { ...node, input, output }])
    done.add(node)
    this.quantized.push(labelOf(node))
  }

  private halfOf(name: string, casts: Node[]): string {
    const { edit, view } = this.work
    const known = this.halves.get(name)
    if (known !== undefined) return known
    const tensor = view.constant(name)
    let made: string
    if (tensor?.dtype === 'float32')
      made = edit.constant(`${name}_h`, { dtype: 'float16', shape: tensor.shape, data: toHalf(tensor.data) })
    else {
      made = edit.fresh(`${name}_h`)
      casts.push(makeNode('Cast', [name], [made], { to: BigInt(ELEMENT_TYPE.float16) }))
    }
    this.halves.set(name, made)
    return made
  }

  /** A node that stays in float32 gets its inputs back as such. */
  private leave(node: Node, reason: string): void {
    const casts = [...node.input, ...capturedBy(node)].flatMap((name) => this.castsBack(name))
    if (casts.length > 0) this.work.edit.replace(node, [...casts, node])
    if (reason !== '') this.kept.push({ node: labelOf(node), reason })
  }

  /** The model's outputs are float32 under their own names. */
  private close(): void {
    const { view, edit } = this.work
    edit.after(...view.graph.output.flatMap(({ name = '' }) => this.castsBack(name)))
  }

  private castsBack(name: string): Node[] {
    const made = this.halves.get(name)
    if (made === undefined || !this.onlyHalf.delete(name)) return []
    return [makeNode('Cast', [made], [name], { to: BigInt(ELEMENT_TYPE.float32) })]
  }
}

/**
 * Whether a value is added to a result, so that what is lost of a small one does not count. A single number is no bias:
 * it may be there to keep a divisor from zero.
 */
const isAdded = ({ opType = '', input }: Node, name: string) =>
  opType === 'Add' || opType === 'Sub' || (LAYERS.has(opType) && input.indexOf(name) === 2)

const LAYERS = new Set(['Conv', 'ConvTranspose', 'Gemm'])

/** A look-up in a constant table of numbers. */
const isTable = ({ opType }: Node, computed: readonly string[]) => opType === 'Gather' && computed.length === 0
