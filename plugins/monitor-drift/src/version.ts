import { type Alert, type DriftVerdict, type Envelope, profileBodySchema } from '@tideway/core'
import type { Baseline } from './baseline.js'
import { readProfile } from './intake.js'
import { createSequences, type Sequences } from './sequences.js'
import { createTrack, type LookSchedule, type Track } from './track.js'

/** What became of a profile report. */
export type Outcome = 'merged' | 'duplicate' | 'foreign' | 'schema'

/** One model version under watch: a track for each device, and one for each fleet. */
export interface WatchedVersion {
  /**
   * Merges a profile report in, once by (device, boot, seq): `foreign` names another model, `schema` was made with
   * another profile schema. Answers the alerts that it gave rise to. Throws for a report that cannot be read.
   */
  add(report: Envelope): { outcome: Outcome; alerts: Alert[] }
  verdicts(): DriftVerdict[]
}

export function watchVersion(baseline: Baseline, schedule: LookSchedule): WatchedVersion {
  const tracks = new Map<string, Track>()
  const seen = new Map<string, Sequences>()

  // Ids hold no slash.
  function trackOf(fleet: string, device?: string): Track {
    const key = `${fleet}/${device ?? ''}`
    const track = tracks.get(key) ?? createTrack(baseline, schedule, { fleet, device })
    tracks.set(key, track)
    return track
  }

  function isNew({ device, boot, seq }: Envelope): boolean {
    const key = `${device}/${boot}`
    const sequences = seen.get(key) ?? createSequences()
    seen.set(key, sequences)
    return sequences.add(seq)
  }

  return {
    add(report) {
      if (report.model !== undefined && report.model !== baseline.model) return { outcome: 'foreign', alerts: [] }
      const claimed = profileBodySchema.shape.schemaDigest.safeParse(report.body.schemaDigest)
      if (claimed.success && claimed.data !== baseline.schemaDigest) return { outcome: 'schema', alerts: [] }
      // Read before it is marked as seen: what throws leaves no trace.
      const profile = readProfile(report, baseline)
      if (!isNew(report)) return { outcome: 'duplicate', alerts: [] }
      const alerts = [trackOf(report.fleet, report.device), trackOf(report.fleet)]
        .filter((track) => track.add(profile, report.to))
        .map((track) => alertOf(track.verdict()))
      return { outcome: 'merged', alerts }
    },
    verdicts: () => [...tracks.values()].map((track) => track.verdict()),
  }
}

/** The id is the same whenever the same track is flagged, also after a restart. */
function alertOf(verdict: DriftVerdict): Alert {
  const { manifestDigest, fleet, device = '*', at } = verdict
  return { id: `drift/${manifestDigest}/${fleet}/${device}`, kind: 'drift', verdict, at }
}
