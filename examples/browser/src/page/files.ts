import { decodeTensors, type Tensors } from '@tideway/core'
import { fetchModel } from '@tideway/runtime-onnx-web'
import { FILES, type Report, type Rows, type StepPlan } from '../shared.js'

/** What the build wrote. */
export interface ModelFiles {
  readonly model: Uint8Array
  readonly step: Uint8Array
  readonly plan: StepPlan
  readonly initial: Tensors
  /** Real digits that the model was trained on. */
  readonly digits: Rows
  /** Real digits that it was not trained on. */
  readonly others: Rows
  readonly report: Report
}

/** Loads all files; `onProgress` is told the share that has arrived. */
export async function loadFiles(onProgress: (share: number) => void): Promise<ModelFiles> {
  const names = [FILES.model, FILES.step, FILES.plan, FILES.tensors, FILES.report]
  const shares = names.map(() => 0)
  const read = async (name: string): Promise<Uint8Array> => {
    const url = new URL(`model/${name}`, document.baseURI)
    return await fetchModel(url, {
      maxModelBytes: 16 * 2 ** 20,
      onProgress({ bytes, total = bytes }) {
        shares[names.indexOf(name as (typeof names)[number])] = bytes / total
        onProgress(shares.reduce((sum, share) => sum + share, 0) / names.length)
      },
    })
  }
  const [model, step, plan, tensors, report] = await Promise.all(names.map(read))
  const { initial = {}, digits = {}, others = {} } = decodeTensors(tensors!)
  return {
    model: model!,
    step: step!,
    plan: parse(plan!) as StepPlan,
    initial,
    digits: rowsIn(digits),
    others: rowsIn(others),
    report: parse(report!) as Report,
  }
}

const rowsIn = ({ rows, classes }: Tensors): Rows => ({
  images: Float32Array.from(rows!.data as Uint8Array, (value) => value / 255),
  classes: [...(classes!.data as Int32Array)],
})

const parse = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes))
