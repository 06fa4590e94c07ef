import type { OnnxWebRuntime } from '@tideway/runtime-onnx-web'
import { BATCH } from '../shared.js'
import type { Drawings } from './drawings.js'
import { byId, describeIn } from './elements.js'
import type { ModelFiles } from './files.js'
import { batches, LastLayer } from './last-layer.js'

/** Steps of one training, and the rate of the first; it falls to nothing in a straight line. */
const STEPS = 80
const LEARNING_RATE = 0.02

export interface TeacherOptions {
  readonly runtime: OnnxWebRuntime
  readonly files: ModelFiles
  readonly drawings: Drawings
  /** What the model in use reads in images. */
  readonly classesOf: (images: Float32Array) => Promise<number[]>
  /** Makes another model the one in use. */
  readonly use: (model: Uint8Array) => Promise<void>
  readonly say: (error: unknown) => void
}

/** Trains the last layer on the user's drawings and on real digits, and tells what came of it. */
export class Teacher {
  private readonly trainButton = byId('train', HTMLButtonElement)
  private readonly resetButton = byId('reset', HTMLButtonElement)
  private readonly panel = byId('training', HTMLDivElement)
  private readonly curve = byId('curve', SVGSVGElement).querySelector('polyline')!
  private readonly outcome = byId('outcome', HTMLDListElement)
  private readonly download = byId('download', HTMLAnchorElement)
  private model: Uint8Array
  private isTraining = false

  constructor(private readonly options: TeacherOptions) {
    this.model = options.files.model
    this.trainButton.addEventListener('click', () => {
      this.teach().catch(options.say)
    })
  }

  /** The drawings are others. */
  async changed(): Promise<void> {
    const { drawings, classesOf } = this.options
    const { images, classes } = drawings.rows
    for (const button of [this.trainButton, this.resetButton]) button.disabled = classes.length === 0 || this.isTraining
    drawings.mark(await classesOf(images))
  }

  /** Back to the model as it was built, without drawings. */
  async reset(): Promise<void> {
    this.options.drawings.clear()
    this.panel.hidden = true
    this.model = this.options.files.model
    await this.options.use(this.model)
    await this.changed()
  }

  private async teach(): Promise<void> {
    const { runtime, files, drawings, use } = this.options
    const taught = drawings.rows
    this.isTraining = true
    this.trainButton.disabled = this.resetButton.disabled = true
    this.panel.ariaBusy = 'true'
    this.panel.hidden = false
    const before = await this.rights(taught.images)
    const layer = await LastLayer.load(runtime, { ...files, model: this.model }, 'wasm')
    try {
      const losses: number[] = []
      const batch = batches(taught, files.digits)
      let milliseconds = 0
      for (let step = 0; step < STEPS; step++) {
        const begin = performance.now()
        losses.push(await layer.step(batch.next().value, LEARNING_RATE * (1 - step / STEPS)))
        milliseconds += performance.now() - begin
        this.draw(losses)
        // The page is drawn between steps.
        await new Promise((resolve) => setTimeout(resolve))
      }
      this.model = layer.model()
      await use(this.model)
      const after = await this.rights(taught.images)
      const total = taught.classes.length
      const rate = STEPS / (milliseconds / 1000)
      describeIn(this.outcome, {
        'Your drawings': `${before.taught} of ${total} right before, ${after.taught} of ${total} now`,
        'Real digits': `${before.others} of ${files.others.classes.length} right before, ${after.others} now`,
        Training: `${STEPS} steps of ${BATCH} images, ${rate.toFixed(0)} steps/s on WebAssembly`,
      })
      URL.revokeObjectURL(this.download.href)
      this.download.href = URL.createObjectURL(new Blob([Uint8Array.from(this.model)]))
      this.download.hidden = false
    } finally {
      this.isTraining = false
      this.panel.ariaBusy = 'false'
      await layer.dispose()
      await this.changed()
    }
  }

  /** How many are read rightly: of the drawings, and of digits that nothing was trained on. */
  private async rights(images: Float32Array) {
    const { drawings, classesOf, files } = this.options
    const read = await classesOf(files.others.images)
    return {
      taught: drawings.mark(await classesOf(images)),
      others: read.filter((label, at) => label === files.others.classes[at]).length,
    }
  }

  private draw(losses: readonly number[]): void {
    const most = Math.max(...losses)
    const points = losses.map((loss, step) => `${(step / (STEPS - 1)) * 100},${30 - (loss / most) * 28}`)
    this.curve.setAttribute('points', points.join(' '))
  }
}
