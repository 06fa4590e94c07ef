import type { Runtime, Tensors } from '@tideway/core'
import { graphOf } from '../../format/node.js'
import { signatureOf } from '../../format/signature.js'
import type { Model } from '../../generated/onnx_pb.js'
import { runRows, using, withOutputs } from '../static/rows.js'

/** The largest finite sizes of the named float32 values over calibration rows; nothing without rows. */
export async function peaksOf(
  model: Model,
  names: ReadonlySet<string>,
  calibration: Tensors,
  runtime: Runtime,
): Promise<ReadonlyMap<string, number>> {
  const peaks = new Map<string, number>()
  const inner = [...names].filter((name) => calibration[name] === undefined)
  if (inner.length === 0 || Object.keys(calibration).length === 0) return peaks
  const probe = withOutputs({ ...model, graph: graphOf(model) }, inner)
  await using(runtime, probe, async (session) => {
    for await (const run of runRows(session, signatureOf(model), calibration))
      for (const [name, tensor] of Object.entries(run))
        if (tensor.dtype === 'float32') peaks.set(name, Math.max(peaks.get(name) ?? 0, peakOf(tensor.data)))
  })
  return peaks
}

function peakOf(values: Float32Array): number {
  let peak = 0
  for (const value of values) {
    const size = Math.abs(value)
    if (size > peak && size < Infinity) peak = size
  }
  return peak
}
