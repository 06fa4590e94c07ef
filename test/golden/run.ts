import type { OnFinished } from '../support/folder.js'
import { type Difference, difference, toleranceOf } from './compare.js'
import { type GoldenEngine, reference } from './engines/index.js'
import { type GOLDEN, goldenModel } from './models.js'

type ModelName = keyof typeof GOLDEN

/** What came of a model on an engine. */
export type Outcome =
  | ({ readonly within: boolean; readonly provider: string } & Difference)
  | { readonly refused: string }

export interface EngineOutcome {
  readonly engine: GoldenEngine
  /** Why it is not here. */
  readonly missing?: string
  readonly models: ReadonlyMap<ModelName, Outcome>
}

export interface RunOptions {
  readonly models: readonly ModelName[]
  readonly engines: readonly GoldenEngine[]
  readonly onFinished: OnFinished
  readonly progress?: (line: string) => void
}

/** Runs the models on the engines, each held against the reference. */
export async function runGolden({
  models,
  engines,
  onFinished,
  progress = () => undefined,
}: RunOptions): Promise<EngineOutcome[]> {
  const wanted = await reference.open(onFinished)
  if (typeof wanted === 'string') throw new Error(`${reference.name}: ${wanted}`)
  const made = await Promise.all(
    models.map(async (name) => {
      const model = await goldenModel(name)
      return { model, answers: (await wanted(model)).outputs }
    }),
  )
  const outcomes: EngineOutcome[] = []
  for (const engine of engines) {
    const answer = await engine.open(onFinished)
    const found = new Map<ModelName, Outcome>()
    if (typeof answer === 'string') {
      progress(`${engine.name}: ${answer}`)
      outcomes.push({ engine, missing: answer, models: found })
      continue
    }
    for (const { model, answers } of made) {
      const outcome: Outcome = await answer(model).then(
        (given) => {
          const apart = difference(given.outputs, answers)
          const within = apart.relative <= toleranceOf(model.arithmetic, engine)
          return { ...apart, within, provider: given.provider }
        },
        (error: unknown) => ({ refused: error instanceof Error ? error.message : String(error) }),
      )
      found.set(model.name, outcome)
      progress(`${engine.name}, ${model.name}: ${JSON.stringify(outcome)}`)
    }
    outcomes.push({ engine, models: found })
  }
  return outcomes
}
