import { type DriftVerdict, emptyProfile, mergeProfiles, type Profile, type StatisticVerdict } from '@tideway/core'
import type { Baseline } from './baseline.js'
import { compareWithBaseline } from './compare.js'

export interface LookSchedule {
  /** The stated alarm rate of a track, over all statistics and all looks, for ever. */
  readonly alarmRate: number
  /** Rows at which the first look of a segment is taken; each next one at twice as many. */
  readonly firstLookRows: number
  /** Once a look saw so many rows, the next one starts from none: old rows would hide new drift. */
  readonly segmentRows: number
}

/**
 * One device (or a whole fleet) on one version: its profiles merged, and the looks taken at them.
 *
 * Look k spends alarmRate / (k (k + 1)), which sums to alarmRate over all k: however often and long one looks, the
 * chance of a false alarm stays below the stated rate (a union bound, so that the looks may share rows). When a look is
 * taken depends on row counts alone, never on verdicts read in between.
 */
export interface Track {
  readonly fleet: string
  readonly device: string | undefined
  readonly flagged: boolean
  /** Merges a profile in and looks if it is time. True when this look was the first to reject. */
  add(profile: Profile, at: string): boolean
  verdict(): DriftVerdict
}

/** A track without rows. `device` is undefined for a fleet. */
export function createTrack(
  baseline: Baseline,
  schedule: LookSchedule,
  owner: { fleet: string; device: string | undefined },
): Track {
  let segment = emptyProfile(baseline.schema)
  let nextLookRows = schedule.firstLookRows
  let rows = 0
  let looks = 0
  let flagged = false
  let score = 0
  let statistics: readonly StatisticVerdict[] = []
  let lookedAt: string | undefined

  function look(at: string): void {
    looks++
    statistics = compareWithBaseline(baseline, segment, schedule.alarmRate / (looks * (looks + 1)))
    for (const { pValue, level } of statistics) {
      score = Math.max(score, Math.log(pValue) / Math.log(level))
      if (pValue <= level) flagged = true
    }
    lookedAt = at
    if (segment.rows >= schedule.segmentRows) {
      segment = emptyProfile(baseline.schema)
      nextLookRows = schedule.firstLookRows
    } else while (nextLookRows <= segment.rows) nextLookRows *= 2
  }

  return {
    ...owner,
    get flagged() {
      return flagged
    },
    add(profile, at) {
      segment = mergeProfiles(segment, profile)
      rows += profile.rows
      lookedAt ??= at
      if (segment.rows < nextLookRows) return false
      const before = flagged
      look(at)
      return flagged && !before
    },
    verdict: () => ({
      model: baseline.model,
      manifestDigest: baseline.manifestDigest,
      fleet: owner.fleet,
      ...(owner.device !== undefined && { device: owner.device }),
      rows,
      baselineRows: baseline.profile.rows,
      looks,
      flagged,
      score,
      alarmRate: schedule.alarmRate,
      statistics,
      at: lookedAt ?? baseline.profile.to,
    }),
  }
}
