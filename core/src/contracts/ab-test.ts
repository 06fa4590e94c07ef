import type { AbDeclaration } from '../abtest/declaration.js'
import type { AbVerdict } from '../abtest/verdict.js'

export type AbStatus = 'running' | 'promoted' | 'stopped'

/** An A/B test as it was declared; control and treatment are the numbers of versions. */
export interface AbTestRecord extends Omit<AbDeclaration, 'control' | 'treatment' | 'maxUnits'> {
  readonly id: string
  readonly model: string
  readonly control: number
  readonly treatment: number
  readonly maxUnits: number
  /** Decides with a unit's key which arm it has. */
  readonly salt: string
  readonly status: AbStatus
  readonly actor: string
  readonly startedAt: string
  readonly endedAt?: string
}

/** What became of one unit. */
export interface AbOutcome {
  /** The unit: the sticky key of its requests, or the request's id where it had none. */
  readonly id: string
  readonly value: number
}

export interface StoredOutcome extends AbOutcome {
  /** Rising in the order of storing within a test; a cursor. */
  readonly order: number
}

/** What was taken of a batch of outcomes. */
export interface AbReceipt {
  readonly accepted: number
  /** Had been reported before with the same value. */
  readonly repeated: number
  /** Had been reported before with another value, which stands. */
  readonly conflicting: readonly string[]
  /** Of units that were not answered under the test, as far as is known: they may be reported again. */
  readonly unknown: readonly string[]
}

/** A/B tests, the units that were answered under them, and their outcomes. */
export interface AbTestStore {
  /** Throws `AB_TEST_RUNNING` where the model has a test that runs, `MODEL_NOT_FOUND`. */
  create(test: Omit<AbTestRecord, 'status' | 'startedAt' | 'endedAt'>): Promise<AbTestRecord>
  /** Ends it; one that has ended stays as it ended. Throws `AB_TEST_NOT_FOUND`. */
  end(id: string, status: Exclude<AbStatus, 'running'>): Promise<AbTestRecord>
  /** The model's newest. Throws `AB_TEST_NOT_FOUND`. */
  newest(model: string): Promise<AbTestRecord>
  /** Of a model, newest first. */
  tests(model: string): Promise<AbTestRecord[]>
  /** Remembers units that were answered; those known already are left. */
  expose(id: string, units: readonly string[]): Promise<void>
  /**
   * Stores outcomes, one for each unit: the first stands. All in one transaction. Throws `AB_TEST_NOT_FOUND`, and
   * `AB_TEST_ENDED` once it does not run any more.
   */
  report(id: string, outcomes: readonly AbOutcome[]): Promise<AbReceipt>
  /** In the order of storing, at most `limit` (default 10,000) after `after`; none is ever stored before one that was read. */
  outcomes(id: string, after?: number, limit?: number): Promise<StoredOutcome[]>
  /** How many units were answered, and how many outcomes were refused as of unknown units, over all reports. */
  counts(id: string): Promise<{ readonly exposed: number; readonly unknown: number }>
}

export interface AbArm {
  readonly version: number
  /** With an outcome. */
  readonly units: number
  /** Of their values; left out before the first. */
  readonly mean?: number | undefined
}

/** A test and what is known of it now. */
export interface AbTestView extends AbVerdict {
  readonly test: AbTestRecord
  readonly control: AbArm
  readonly treatment: AbArm
  /** Units answered under the test, with an outcome or without. */
  readonly exposed: number
  readonly unknown: number
  /** Values beyond the metric's range, which counted as its end. */
  readonly capped: number
  /** Treatment minus control, in the metric's unit; the bounds hold at every look. */
  readonly effect: { readonly estimate: number; readonly low: number; readonly high: number }
  /** Of "the treatment is not better", at any look. */
  readonly pValue: number
  /** Of "units have the arms that they were assigned, in the declared ratio", at any look. */
  readonly ratioPValue: number
}

/** A/B tests between two versions of a model. */
export interface AbTests {
  /** Sets the traffic policy, too. Throws `INPUT_REJECTED`, `TRAFFIC_REFUSED`, `AB_TEST_RUNNING`, `VERSION_NOT_FOUND`. */
  start(model: string, declaration: unknown, actor: string): Promise<AbTestView>
  /** The model's newest test. Throws `AB_TEST_NOT_FOUND`. */
  show(model: string): Promise<AbTestView>
  report(model: string, outcomes: readonly AbOutcome[]): Promise<AbReceipt>
  /**
   * Lets `latest` name the treatment and ends the test. Throws `AB_TEST_NOT_DECIDED` unless the result is `promote`, or
   * `force` is set; `AB_TEST_ENDED`.
   */
  promote(model: string, options: { readonly actor: string; readonly force?: boolean }): Promise<AbTestView>
  /** Ends the test; control answers all. Throws `AB_TEST_ENDED`. */
  stop(model: string, actor: string): Promise<AbTestView>
}
