import type { ResolvedOptimizer } from '@tideway/core'
import { ACCUMULATED } from '@tideway/onnx'
import {
  elements,
  FACTOR,
  FEED,
  GRADIENT,
  type Layout,
  nextOf,
  release,
  SCALE,
  type Slot,
  stateOf,
  UPDATED,
  updateGraph,
} from '@tideway/training'
import { type InferenceSession, Tensor } from 'onnxruntime-node'
import type { Weights } from './weights.js'

/**
 * Networks of more trained parameters than this are updated piece by piece. In one graph with its gradients a step
 * would need every parameter and state twice, once more for the copies of its outputs that onnxruntime-node makes, and
 * room for what is between the operators. Smaller networks train faster in one graph.
 */
const LARGE_PARAMETERS = 2 ** 22
/** 1 MiB of each tensor, which stays in a core's cache from one operator to the next. */
const PIECE = 2 ** 18

/** How many elements of a parameter are updated at once; undefined for a network that is updated in its training graph. */
export const pieceOf = ({ slots }: Pick<Layout, 'slots'>): number | undefined =>
  slots.reduce((sum, { shape }) => sum + elements(shape), 0) > LARGE_PARAMETERS ? PIECE : undefined

export interface UpdaterOptions {
  readonly layout: Layout
  readonly optimizer: ResolvedOptimizer
  readonly weights: Weights
  /** Elements updated at once. */
  readonly piece: number
  readonly session: (model: Uint8Array) => Promise<InferenceSession>
}

/** What a step has in common for all parameters. */
export interface UpdateStep {
  readonly rate: number
  /** Counts from 1. */
  readonly number: number
  readonly scale: Tensor | undefined
  readonly summed: number
  /** By slot, the gradients that are a product leftᵀ right; they are free afterwards. */
  readonly factors: ReadonlyMap<string, Factors>
}

interface Factors {
  readonly left: Tensor
  readonly right: Tensor
}

/** Takes optimizer steps on parameters and state where they lie, with the gradients that a run has left. */
export class Updater {
  private readonly sessions = new Map<string, Promise<InferenceSession>>()

  constructor(private readonly options: UpdaterOptions) {}

  async update({ rate, number, scale, summed, factors }: UpdateStep): Promise<void> {
    const { layout, weights } = this.options
    const scalars = {
      [FEED.learningRate]: new Tensor('float32', Float32Array.of(rate), []),
      [FEED.step]: new Tensor('int64', BigInt64Array.of(BigInt(number)), []),
      ...(scale === undefined ? {} : { [SCALE]: scale }),
    }
    for (const slot of layout.slots) {
      const product = factors.get(slot.name)
      const session = await this.session(slot, scale !== undefined, summed, product !== undefined)
      const changed = ['', ...layout.states].map(
        (state) => [stateOf(UPDATED, state), weights.values(stateOf(slot.name, state))] as const,
      )
      for (const { begin, end, gradient } of this.pieces(slot, product)) {
        const pieces = changed.map(([name, whole]) => [name, whole.subarray(begin, end)] as const)
        await updatePiece(session, pieces, { ...scalars, ...gradient })
      }
      for (const factor of Object.values(product ?? {})) release(factor.data as Float32Array)
    }
  }

  /** The pieces of a slot, each with what the update is given for its gradient. */
  private *pieces({ name, shape }: Slot, product?: Factors): Generator<Piece> {
    const { weights, piece } = this.options
    const count = elements(shape)
    // A product is made of whole rows.
    const width = product === undefined ? 1 : (shape[1] ?? 1)
    const length = Math.max(1, Math.floor(piece / width)) * width
    const whole = product === undefined ? weights.values(stateOf(name, ACCUMULATED)) : undefined
    for (let begin = 0; begin < count; begin += length) {
      const end = Math.min(begin + length, count)
      yield {
        begin,
        end,
        gradient: whole
          ? { [GRADIENT]: rowOf(whole.subarray(begin, end)) }
          : { ...product, [FACTOR.begin]: indexOf(begin / width), [FACTOR.end]: indexOf(end / width) },
      }
    }
  }

  private session({ members }: Slot, scaled: boolean, summed: number, factored: boolean): Promise<InferenceSession> {
    const { layout, optimizer, session } = this.options
    const { step } = optimizer
    const order = { step, states: layout.states, decays: members[0]?.decays ?? true, scaled, summed, factored }
    const key = JSON.stringify([order.decays, scaled, summed, factored])
    const known = this.sessions.get(key) ?? session(updateGraph(order))
    this.sessions.set(key, known)
    return known
  }
}

interface Piece {
  readonly begin: number
  readonly end: number
  readonly gradient: Readonly<Record<string, Tensor>>
}

async function updatePiece(
  session: InferenceSession,
  pieces: readonly (readonly [name: string, piece: Float32Array])[],
  others: Readonly<Record<string, Tensor>>,
): Promise<void> {
  const given = { ...others, ...Object.fromEntries(pieces.map(([name, piece]) => [name, rowOf(piece)])) }
  const used = session.inputNames.map((name) => [name, given[name] as Tensor])
  const out = await session.run(Object.fromEntries(used))
  for (const [name, piece] of pieces) {
    const next = out[nextOf(name)]?.data
    if (!(next instanceof Float32Array)) continue
    // Written only now: another output may need the old values for as long as the graph runs.
    piece.set(next)
    release(next)
  }
}

const rowOf = (piece: Float32Array): Tensor => new Tensor('float32', piece, [piece.length])

const indexOf = (row: number): Tensor => new Tensor('int64', BigInt64Array.of(BigInt(row)), [1])
