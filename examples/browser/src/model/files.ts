import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { encodeTensors, type Tensors, type TrainData } from '@tideway/core'
import { writeTrainingStep } from '@tideway/training'
import { DIGITS, FILES, PIXELS, type Report, SIDE, type StepPlan } from '../shared.js'
import { HEAD_JOB, type TrainedDigits } from './train.js'

/** Digits of each class for the page. */
const EXAMPLES = 20

/** Writes what the page needs: the model, the graph of a training step of its last layer, and some real digits. */
export async function writeFiles(dir: string, { base, model, train, test }: TrainedDigits): Promise<Report> {
  // The very graph that the trainer ran for the last layer, backbone and all.
  const { onnx, carried, initial, parameters } = writeTrainingStep(HEAD_JOB, { base })
  const plan: StepPlan = { carried, parameters }
  const report: Report = {
    accuracy: model.metrics['valAccuracy'] ?? Number.NaN,
    testRows: test.targets.data.length,
    trainRows: train.targets.data.length,
    seconds: model.seconds,
    bytes: model.onnx.length,
  }
  await mkdir(dir, { recursive: true })
  const files: Readonly<Record<string, Uint8Array | string>> = {
    [FILES.model]: model.onnx,
    [FILES.step]: onnx,
    [FILES.plan]: JSON.stringify(plan),
    [FILES.tensors]: encodeTensors({ initial, digits: examplesOf(train), others: examplesOf(test) }),
    [FILES.report]: JSON.stringify(report),
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content)
  return report
}

/** The first digits of each class, as bytes. */
function examplesOf({ inputs, targets }: TrainData): Tensors {
  const rows = DIGITS.flatMap((_, digit) =>
    [...(targets.data as Int32Array).entries()].filter(([, label]) => label === digit).slice(0, EXAMPLES),
  )
  const data = new Uint8Array(rows.length * PIXELS)
  for (const [at, [row]] of rows.entries())
    for (let pixel = 0; pixel < PIXELS; pixel++)
      data[at * PIXELS + pixel] = Math.round(Number(inputs.data[row * PIXELS + pixel]) * 255)
  return {
    rows: { dtype: 'uint8', shape: [rows.length, SIDE, SIDE, 1], data },
    classes: { dtype: 'int32', shape: [rows.length], data: Int32Array.from(rows, ([, label]) => label) },
  }
}
