import type { Runtime, Signature, Tensors } from '@tideway/core'
import type { Graph, Node } from '../../generated/onnx_pb.js'
import { type AffineScale } from '../reference.js'
import { type GraphView, viewOf } from '../view.js'
import { chooseRanges, givenRanges, outputError, rangesBy } from './choose.js'
import { channelMeans, correctBiases, hasBias } from './correct.js'
import { equalized, pairsOf, peaksOf } from './equalize.js'
import { momentsOf } from './moments.js'
import { type Observed, observe } from './observe.js'
import type { ResolvedInt8Options } from './options.js'
import { type Plan, planOf } from './plan.js'
import { type LayerReport, reportLayers, reportStored } from './report.js'
import { roundToMoments } from './round.js'
import { type FloatTensor, runRows, someRows, using, type Whole, withOutputs } from './rows.js'
import { rawOf, type Setting, Simulation } from './simulate.js'
import type { Step } from './steps.js'
import { type StoredWeights, storedWeights } from './stored.js'
import { dequantizedWeights, type IntegerWeights, quantizeBias, quantizeWeights } from './weights.js'
import type { Quantities } from './write.js'

/** Rows that choices are measured on: as many as make about so many values of all tensors together. */
const TRIAL_VALUES = 2 ** 21
const MIN_TRIAL_ROWS = 8
const MAX_TRIAL_ROWS = 256

/** Rows that tell whether equalizing helps. */
const ROUGH_ROWS = 32

export interface Source {
  readonly model: Whole
  readonly signature: Signature
  readonly rows: Tensors
  readonly runtime: Runtime
  readonly options: ResolvedInt8Options
}

export interface Attempt {
  readonly model: Whole
  readonly quantities: Quantities
  readonly layers: readonly LayerReport[]
  /** Squared error of the outputs, relative to how much they vary. */
  readonly error: number
}

/** Finds everything that the file of a plan needs: scales, integer weights, biases. */
export async function attempt(source: Source, float: ReadonlyMap<string, string>): Promise<Attempt> {
  const { options, runtime, signature } = source
  if (options.equalize === false) return (await Workbench.of(source, source.model, float)).finish()
  const view = viewOf(source.model.graph)
  const pairs = pairsOf(planOf(view, float), view)
  if (pairs.length === 0) return (await Workbench.of(source, source.model, float)).finish()

  const few = { ...source, rows: someRows(signature, source.rows, ROUGH_ROWS) }
  const names = [...new Set(pairs.map(({ between }) => between))]
  const peaks = await using(runtime, withOutputs(source.model, names), (session) =>
    peaksOf(pairs, runRows(session, signature, few.rows)),
  )
  const even = { ...source.model, graph: equalized(source.model.graph, pairs, peaks) }
  const roughError = async (model: Whole): Promise<number> => (await Workbench.of(few, model, float)).roughError()
  const isBetter = options.equalize === true || (await roughError(even)) < (await roughError(source.model))
  return (await Workbench.of(source, isBetter ? even : source.model, float)).finish()
}

/** One float model with what was observed of it: where choices are tried and measured. */
class Workbench {
  private constructor(
    private readonly source: Source,
    private readonly model: Whole,
    readonly view: GraphView,
    readonly plan: Plan,
    private readonly observed: Observed,
    readonly trial: Tensors,
    /** What the outputs are measured at: before a softmax or sigmoid, which hides errors. */
    private readonly outputs: readonly string[],
    private readonly wanted: ReadonlyMap<string, FloatTensor>,
  ) {}

  static async of(source: Source, model: Whole, float: ReadonlyMap<string, string>): Promise<Workbench> {
    const { signature, rows, runtime } = source
    const view = viewOf(model.graph)
    const plan = planOf(view, float)
    const observed = await observe(model, plan, signature, rows, runtime)
    const wantedRows = Math.floor(TRIAL_VALUES / Math.max(1, observed.perRow))
    const trial = someRows(signature, rows, Math.max(MIN_TRIAL_ROWS, Math.min(MAX_TRIAL_ROWS, wantedRows)))
    const measured = measuredAt(model.graph, view)
    // A model that answers classes is measured at its last layer.
    const last = plan.steps.findLast((step) => step.linear !== undefined)
    const outputs = measured.length > 0 || last === undefined ? measured : [rawOf(last)]
    const wanted = await gather(runtime, model, signature, trial, outputs)
    return new Workbench(source, model, view, plan, observed, trial, outputs, wanted)
  }

  /** The error of the outputs with the plainest of everything. */
  async roughError(): Promise<number> {
    const { scales } = rangesBy('mse', this.observed.histograms)
    const weights = this.nearest(scales)
    return this.simulating(weights, [], (simulation) =>
      outputError(simulation, this.trial, this.wanted, { scales, biases: this.biases() }),
    )
  }

  async finish(): Promise<Attempt> {
    const { options } = this.source
    const { ranges } = options
    const start =
      typeof ranges === 'object'
        ? givenRanges(ranges, this.observed.histograms, this.plan)
        : rangesBy(ranges === 'auto' ? 'mse' : ranges, this.observed.histograms)
    const weights = await this.rounded(this.nearest(start.scales))
    const measured = (simulation: Simulation, setting: Setting): Promise<number> =>
      outputError(simulation, this.trial, this.wanted, setting)
    const chosen =
      options.ranges !== 'auto'
        ? start
        : await this.simulating(weights, [], (simulation) =>
            chooseRanges(this.observed.histograms, (scales) => measured(simulation, { scales, biases: this.biases() })),
          )
    const raw = this.layers().map(rawOf)
    return this.simulating(weights, raw, async (simulation) => {
      let setting: Setting = { scales: chosen.scales, biases: this.biases() }
      let error = await measured(simulation, setting)
      const { runtime, signature } = this.source
      const wanted = await gather(runtime, this.model, signature, this.trial, raw)
      if (options.correctBias) {
        const means = await channelMeans(this.plan, [Object.fromEntries(wanted)])
        const corrected = { ...setting, biases: await correctBiases(this.plan, simulation, this.trial, means, setting) }
        const after = await measured(simulation, corrected)
        // Means of few rows may mislead in a tiny network: what is worse is not taken.
        if (after < error) [setting, error] = [corrected, after]
      }
      const final = this.withBiases(weights, setting)
      const parts = { wanted, weights: final, methods: chosen.methods }
      const layers = await reportLayers(this.plan, simulation, this.trial, setting, parts)
      const { plan, observed, model } = this
      return {
        model,
        layers: [...layers, ...reportStored(this.stored())],
        error,
        quantities: { plan, scales: setting.scales, weights: final, ranks: observed.ranks, stored: this.stored() },
      }
    })
  }

  /** Layers without an integer kernel, and tables: their weights are integers in the file alone. */
  private stored(): StoredWeights[] {
    const isForced = (node: Node): boolean => ['ConvTranspose', 'Gather'].includes(node.opType ?? '')
    return this.model.graph.node.filter(isForced).flatMap((node) => storedWeights(node, this.view) ?? [])
  }

  private layers(): Step[] {
    return this.plan.steps.filter((step) => step.linear !== undefined)
  }

  private biases(): Map<Step, Float32Array> {
    return new Map(this.layers().flatMap((step) => (step.linear?.bias === undefined ? [] : [[step, step.linear.bias]])))
  }

  private scaleOf(step: Step, scales: ReadonlyMap<string, AffineScale>): number {
    return scales.get(this.plan.groupOf.get(step.inputs[0] ?? '') ?? '')?.scale ?? 1
  }

  /** The largest integer of a weight. */
  private get most(): number {
    return 2 ** (this.source.options.weightBits - 1) - 1
  }

  private nearest(scales: ReadonlyMap<string, AffineScale>): Map<Step, IntegerWeights> {
    return new Map(
      this.layers().flatMap((step) =>
        step.linear === undefined
          ? []
          : [[step, quantizeWeights(step.linear, this.scaleOf(step, scales), this.most, this.givenOf(step))]],
      ),
    )
  }

  /** The scales that were given for a layer's weights: not for those that equalizing made others. */
  private givenOf({ linear }: Step): readonly number[] | undefined {
    const { scales } = this.source.options
    const name = linear?.node.input[1] ?? ''
    return this.model === this.source.model && Object.hasOwn(scales, name) ? scales[name] : undefined
  }

  private async rounded(nearest: Map<Step, IntegerWeights>): Promise<Map<Step, IntegerWeights>> {
    const { options, runtime, signature } = this.source
    if (options.rounding === 'nearest') return nearest
    const isCentred = (step: Step): boolean => options.correctBias && hasBias(step)
    const all = await momentsOf(this.model, this.plan, signature, this.trial, runtime, isCentred)
    return new Map(
      [...nearest].map(([step, weights]) => {
        const moments = all.get(step)
        if (step.linear === undefined || moments === undefined) return [step, weights]
        return [step, roundToMoments(step.linear, weights, moments.moments, moments.groupOf)]
      }),
    )
  }

  private real(weights: ReadonlyMap<Step, IntegerWeights>): Map<Step, Float32Array> {
    return new Map(
      [...weights].flatMap(([step, integers]) =>
        step.linear === undefined ? [] : [[step, dequantizedWeights(step.linear, integers)]],
      ),
    )
  }

  private withBiases(
    weights: ReadonlyMap<Step, IntegerWeights>,
    { scales, biases }: Setting,
  ): Map<Step, IntegerWeights> {
    return new Map(
      [...weights].map(([step, integers]) => [
        step,
        { ...integers, ...quantizeBias(biases.get(step), integers.scales, this.scaleOf(step, scales)) },
      ]),
    )
  }

  private async simulating<T>(
    weights: ReadonlyMap<Step, IntegerWeights>,
    raw: readonly string[],
    use: (simulation: Simulation) => Promise<T>,
  ): Promise<T> {
    const { signature, runtime } = this.source
    const watched = { signature, runtime, outputs: this.outputs, raw }
    const simulation = await Simulation.open(this.model, this.plan, this.real(weights), watched)
    try {
      return await use(simulation)
    } finally {
      await simulation.dispose()
    }
  }
}

const HIDES = new Set(['Softmax', 'LogSoftmax', 'Sigmoid'])

/** The float32 outputs, each before the softmax or sigmoid that makes it. */
function measuredAt(graph: Graph, view: GraphView): string[] {
  return graph.output.flatMap((info) => {
    const type = info.type?.value
    if (type?.case === 'tensorType' && (type.value.elemType ?? 1) !== 1) return []
    const name = info.name ?? ''
    const maker = view.producer(name)
    if (maker === undefined) return []
    return [HIDES.has(maker.opType ?? '') ? (maker.input[0] ?? name) : name]
  })
}

/** Some tensors over all rows. */
async function gather(
  runtime: Runtime,
  model: Whole,
  signature: Signature,
  rows: Tensors,
  names: readonly string[],
): Promise<Map<string, FloatTensor>> {
  if (names.length === 0) return new Map()
  const pieces = new Map(names.map((name) => [name, [] as FloatTensor[]]))
  await using(runtime, withOutputs(model, [...pieces.keys()]), async (session) => {
    for await (const tensors of runRows(session, signature, rows))
      for (const [name, list] of pieces) {
        const tensor = tensors[name]
        if (tensor?.dtype === 'float32') list.push(tensor)
      }
  })
  return new Map([...pieces].map(([name, list]) => [name, joined(list)]))
}

function joined(list: readonly FloatTensor[]): FloatTensor {
  const data = new Float32Array(list.reduce((sum, piece) => sum + piece.data.length, 0))
  let at = 0
  for (const piece of list) {
    data.set(piece.data, at)
    at += piece.data.length
  }
  const [, ...shape] = list[0]?.shape ?? []
  return { dtype: 'float32', shape: [list.reduce((sum, piece) => sum + (piece.shape[0] ?? 0), 0), ...shape], data }
}
