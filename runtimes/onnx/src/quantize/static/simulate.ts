import type { Runtime, Session, Signature, Tensor, Tensors } from '@tideway/core'
import { makeNode } from '../../format/node.js'
import { valueInfo } from '../../format/signature.js'
import { fromTensor } from '../../format/tensor.js'
import type { Graph, Node, ValueInfo } from '../../generated/onnx_pb.js'
import type { AffineScale } from '../reference.js'
import { capturedBy } from '../view.js'
import { movesIntegers, type Plan } from './plan.js'
import { runRows, type Whole, withOutputs } from './rows.js'
import type { Step } from './steps.js'

export interface Watched {
  readonly signature: Signature
  readonly runtime: Runtime
  /** Values of the float graph, each as what comes after it sees it. */
  readonly outputs: readonly string[]
  /** Results of steps before they are rounded, and before the limits of an activation. */
  readonly raw?: readonly string[]
}

/** What a simulation is run with; everything else is in its graph. */
export interface Setting {
  /** By group of tensors with one scale. */
  readonly scales: ReadonlyMap<string, AffineScale>
  readonly biases: ReadonlyMap<Step, Float32Array>
}

/**
 * The float model with its integer parts rounded as the quantized file will round them, whose scales and biases are
 * inputs: trying others is one run, without a new session.
 */
export class Simulation {
  private constructor(
    private readonly session: Session,
    private readonly signature: Signature,
    private readonly feedsOf: (setting: Setting) => Tensors,
    /** What stands for each output of the float graph. */
    private readonly outputs: ReadonlyMap<string, string>,
  ) {}

  static async open(
    model: Whole,
    plan: Plan,
    weights: ReadonlyMap<Step, Float32Array>,
    { signature, runtime, outputs, raw = [] }: Watched,
  ): Promise<Simulation> {
    const { graph, names } = simulated(model, plan, weights, outputs)
    const session = await runtime.load(withOutputs({ ...model, graph }, [...new Set([...names.values(), ...raw])]))
    const groups = [...plan.sources.keys()]
    const layers = plan.steps.filter((step) => step.linear !== undefined)
    const feedsOf = ({ scales, biases }: Setting): Tensors =>
      Object.fromEntries([
        ...groups.flatMap((group, at) => {
          const { scale, zeroPoint } = scales.get(group) ?? { scale: 1, zeroPoint: 0 }
          return [
            [scaleInput(at), { dtype: 'float32', shape: [], data: Float32Array.of(scale) }],
            [zeroInput(at), { dtype: 'uint8', shape: [], data: Uint8Array.of(zeroPoint) }],
          ] as [string, Tensor][]
        }),
        ...layers.map((step, at): [string, Tensor] => {
          const data = biases.get(step) ?? new Float32Array(step.linear?.outputs ?? 0)
          return [biasInput(at), { dtype: 'float32', shape: [data.length], data }]
        }),
      ])
    return new Simulation(session, signature, feedsOf, names)
  }

  /** Each run's values, under the names of the float graph. */
  async *run(rows: Tensors, setting: Setting): AsyncGenerator<Tensors> {
    for await (const tensors of runRows(this.session, this.signature, rows, this.feedsOf(setting))) {
      const named = [...this.outputs].flatMap(([name, is]) =>
        tensors[is] === undefined ? [] : [[name, tensors[is]] as const],
      )
      yield { ...tensors, ...Object.fromEntries(named) }
    }
  }

  dispose(): Promise<void> {
    return this.session.dispose()
  }
}

const scaleInput = (at: number): string => `scale ${at}`
const zeroInput = (at: number): string => `zero ${at}`
const biasInput = (at: number): string => `bias ${at}`
const rounded = (name: string): string => `${name} rounded`

function simulated(
  model: Whole,
  plan: Plan,
  weights: ReadonlyMap<Step, Float32Array>,
  outputs: readonly string[],
): { readonly graph: Graph; readonly names: ReadonlyMap<string, string> } {
  const { graph } = model
  const groups = new Map([...plan.sources.keys()].map((group, at) => [group, at]))
  const last = new Map(plan.steps.map((step) => [step.nodes.at(-1), step]))
  const inside = new Set(plan.steps.flatMap((step) => step.nodes))
  const made = new Map(plan.steps.flatMap((step) => step.outputs.map((name) => [name, step] as const)))
  const layers = plan.steps.filter((step) => step.linear !== undefined)
  const node: Node[] = []
  const initializer = [...graph.initializer]
  const done = new Set<string>()

  /** The tensor on the grid of its integers. */
  const grid = (name: string): string => {
    const maker = made.get(name)
    if (maker !== undefined && movesIntegers(maker, plan)) return name
    if (done.has(name)) return rounded(name)
    done.add(name)
    const at = groups.get(plan.groupOf.get(name) ?? '') ?? 0
    const from = maker === undefined ? name : rawOf(maker)
    const scale = [scaleInput(at), zeroInput(at)]
    node.push(makeNode('QuantizeLinear', [from, ...scale], [`${name} integers`]))
    node.push(makeNode('DequantizeLinear', [`${name} integers`, ...scale], [rounded(name)]))
    return rounded(name)
  }
  const float = (name: string): string => (made.has(name) && plan.tensors.has(name) ? grid(name) : name)

  /** Gives the result of an absorbed activation, which a branch reads, under its name. */
  const restored = new Set<string>()
  const restore = (name: string): void => {
    if (made.get(name)?.limits === undefined || restored.has(name)) return
    restored.add(name)
    node.push(makeNode('Identity', [grid(name)], [name]))
  }

  for (const item of graph.node) {
    const step = last.get(item)
    if (step === undefined) {
      if (!inside.has(item)) {
        for (const name of capturedBy(item)) restore(name)
        node.push({ ...item, input: item.input.map(float) })
      }
      continue
    }
    const inputs = step.inputs.map(grid)
    const { opType = '' } = step.node
    if (step.linear === undefined) {
      const others = step.node.input.slice(step.inputs.length)
      node.push({ ...step.node, input: [...inputs, ...others], output: outputsOf(step) })
      continue
    }
    // Labels of nodes may be alike; names of values are not.
    const [output = ''] = step.outputs
    const weight = `${output} weights`
    initializer.push(fromTensor(weight, { ...step.linear.weight, data: weights.get(step) ?? step.linear.weight.data }))
    const bias = biasInput(layers.indexOf(step))
    if (opType === 'MatMul') {
      node.push(makeNode('MatMul', [...inputs, weight], [`${output} product`]))
      node.push(makeNode('Add', [`${output} product`, bias], [rawOf(step)]))
    } else node.push({ ...step.node, input: [...inputs, weight, bias], output: [rawOf(step)] })
  }
  const infos: ValueInfo[] = [
    ...[...groups.values()].flatMap((at) => [
      valueInfo({ name: scaleInput(at), dtype: 'float32', shape: [] }),
      valueInfo({ name: zeroInput(at), dtype: 'uint8', shape: [] }),
    ]),
    ...layers.map((step, at) =>
      valueInfo({ name: biasInput(at), dtype: 'float32', shape: [step.linear?.outputs ?? 0] }),
    ),
  ]
  const weightNames = new Set(graph.initializer.map(({ name }) => name))
  const input = [...graph.input.filter(({ name }) => !weightNames.has(name)), ...infos]
  const names = new Map(outputs.map((name) => [name, float(name)] as const))
  return { graph: { ...graph, node, initializer, input, valueInfo: [] }, names }
}

/** The name of a step's result before it is rounded, and before the limits of an activation. */
export function rawOf(step: Step): string {
  return step.limits === undefined ? (step.outputs[0] ?? '') : (step.nodes.at(-1)?.input[0] ?? '')
}

const outputsOf = (step: Step): string[] => (step.limits === undefined ? step.node.output : [rawOf(step)])
