import { errors } from '../errors.js'
import { type Envelope, envelopeSchema, type ReportedState, reportedSchema } from './envelope.js'
import { limits } from './limits.js'
import { parseJson } from './parse.js'

/** Who a report or reported state came from, as its subject, topic or URL says. */
export interface ReportSource {
  readonly fleet: string
  readonly device: string
}

/**
 * Narrows a report from the wire. Throws `TOO_LARGE`, `JSON_INVALID`, `INPUT_REJECTED`, or `REPORT_IDENTITY_MISMATCH`
 * when it names another device than the way it came by: the subject is what permissions are set on.
 */
export function readReport(bytes: Uint8Array, source: ReportSource): Envelope {
  return agreed(parseJson(envelopeSchema, bytes, 'report', limits.maxReportBytes), source)
}

/** Narrows a reported state from the wire; throws as `readReport` does. */
export function readReported(bytes: Uint8Array, source: ReportSource): ReportedState {
  return agreed(parseJson(reportedSchema, bytes, 'reported state', limits.maxReportBytes), source)
}

function agreed<T extends ReportSource>(body: T, source: ReportSource): T {
  if (body.fleet !== source.fleet || body.device !== source.device)
    throw errors.REPORT_IDENTITY_MISMATCH({
      fleet: source.fleet,
      device: source.device,
      claimed: `${body.fleet}/${body.device}`,
    })
  return body
}
