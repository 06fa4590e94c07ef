import type { JobSpec, Runtime, Session, Tensor } from '@tideway/core'
import { answersOf, pickRows, rowsHeld } from '../quantize/batches.js'
import type { Made } from '../quantize/ladder.js'
import { machine } from '../quantize/latency.js'
import { layerErrors } from '../quantize/layers.js'
import { reportPage } from '../quantize/page/page.js'
import { reportOf } from '../quantize/report.js'
import type { Rows } from '../quantize/rows.js'
import { judgeOf, latencyOf } from '../quantize/search.js'
import type { Artifacts } from './artifacts.js'
import { type Part, takeRows } from './split.js'

/** Latency of a job's files is for a first impression: the trainer has more to do. */
const LATENCY_MS = 300

interface ReportMaterial {
  readonly spec: JobSpec
  readonly runtime: Runtime
  readonly artifacts: Artifacts
  readonly float: { readonly onnx: Uint8Array; readonly session: Session }
  readonly small: { readonly made: Made; readonly session: Session }
  /** Rows that no part of the training saw, and how many calibrated. */
  readonly test: Part
  readonly calibrationRows: number
}

/** Blobs of what quantizing cost. */
export interface StoredReport {
  readonly json: string
  readonly html: string
}

/** Stores what quantizing a version cost, for programs and as a page. */
export async function storeReport(material: ReportMaterial): Promise<StoredReport> {
  const { spec, runtime, artifacts, float, small, test, calibrationRows } = material
  const name = float.session.signature.inputs[0]?.name ?? ''
  const all = test.inputs.shape[0] ?? 0
  const count = Math.min(all, await rowsHeld(float.session, { [name]: test.inputs }))
  const places = Int32Array.from({ length: count }, (_, at) => at)
  const rows: Rows = {
    inputs: pickRows({ [name]: test.inputs }, places),
    targets: numbersOf(takeRows(test.targets, places)),
    notes:
      count < all ? [`the report judges by ${count} of ${all} test rows: more answers do not fit into memory`] : [],
  }
  const judge = await judgeOf(float.session, rows)
  const judgement = judge.judge(await answersOf(small.session, rows.inputs))
  const files = [float.onnx, small.made.onnx]
  const [before, after] = await latencyOf(runtime, files, rows, LATENCY_MS)
  const { maxAccuracyLoss, maxExplainedLoss } = spec.gates
  const maxLoss =
    judge.measure === 'classes' ? maxAccuracyLoss : judge.measure === 'values' ? maxExplainedLoss : undefined
  const report = reportOf({
    model: spec.model,
    recipe: small.made.scheme ?? small.made.precision,
    float: float.onnx,
    made: small.made,
    judged: { judge, judgement, calibrationRows, ...(maxLoss !== undefined && { maxLoss }) },
    classNames: spec.classes,
    latency: {
      float: before!,
      small: after!,
      ratio: after!.ratio,
      machine: machine(),
      engine: `${runtime.name} (cpu)`,
    },
    layers: small.made.layers ?? (await layerErrors(float.onnx, small.made.onnx, rows.inputs, runtime)),
    notes: rows.notes,
  })
  const [json, html] = await Promise.all(
    [JSON.stringify(report), reportPage(report)].map((text) => artifacts.putBlob(Buffer.from(text))),
  )
  return { json: json!.sha256, html: html!.sha256 }
}

/** Classes as int32, values as they are. */
function numbersOf(targets: Tensor): Tensor {
  if (targets.dtype === 'float32' || targets.dtype === 'int32') return targets
  const { shape } = targets
  return { dtype: 'int32', shape, data: Int32Array.from(targets.data as ArrayLike<number>, Number) }
}
