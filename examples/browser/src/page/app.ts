import { createOnnxWebRuntime } from '@tideway/runtime-onnx-web'
import { CLASSES, DIGITS, PIXELS } from '../shared.js'
import { Board } from './board.js'
import { Classifier } from './classifier.js'
import { digitOf } from './digit.js'
import { Drawings } from './drawings.js'
import { byId, choices, describeIn, percent } from './elements.js'
import { loadFiles } from './files.js'
import { Reading } from './reading.js'
import { Teacher } from './teacher.js'

const PROVIDERS: Readonly<Record<string, string>> = { wasm: 'WebAssembly', webgpu: 'WebGPU' }

/** Loads the model and connects the page's parts. */
export async function startApp(say: (error: unknown) => void): Promise<void> {
  const status = byId('status', HTMLParagraphElement)
  const problem = byId('problem', HTMLParagraphElement)
  const files = await loadFiles((share) => {
    status.textContent = `Loading the model: ${percent(share)}`
  })
  status.textContent = 'Starting the engine'
  const runtime = createOnnxWebRuntime()
  let model = files.model
  let classifier = await Classifier.load(runtime, model, 'wasm')

  const reading = new Reading()
  const drawings = new Drawings()
  const taught = new Set<number>()

  const facts = (): void => {
    const { report } = files
    const milliseconds = classifier.milliseconds
    const speed = milliseconds === undefined ? '' : `: ${milliseconds.toFixed(1)} ms a drawing`
    const threads =
      classifier.provider === 'wasm'
        ? `, ${classifier.threads === 1 ? '1 thread' : `${classifier.threads} threads`}`
        : ''
    status.textContent = `Runs here on ${PROVIDERS[classifier.provider]}${threads}${speed}`
    describeIn(byId('facts', HTMLDListElement), {
      Model: `${(model.length / 1024).toFixed(0)} KB of ONNX, trained by Tideway on ${report.trainRows.toLocaleString('en')} real digits`,
      Right: `${percent(report.accuracy, 1)} of ${report.testRows.toLocaleString('en')} digits that it had not seen, as built`,
    })
  }

  // One drawing is read at a time, and the newest is always read.
  let [isReading, again] = [false, false]
  const read = async (): Promise<void> => {
    again = isReading
    if (isReading) return
    isReading = true
    do {
      again = false
      const digit = digitOf(board.ink())
      reading.show(digit && (await classifier.classify(digit)), taught)
    } while (again)
    isReading = false
    facts()
  }
  const board = new Board(byId('board', HTMLCanvasElement), () => {
    byId('hint', HTMLParagraphElement).hidden = !board.isEmpty
    read().catch(say)
  })

  /** Takes another model, or the same on another provider. */
  const use = async (next: Uint8Array, provider: string): Promise<void> => {
    const before = classifier
    status.textContent = `Starting ${PROVIDERS[provider]}`
    const loaded = await Classifier.load(runtime, next, provider)
    model = next
    classifier = loaded
    await before.dispose()
    drawings.mark(await classifier.classesOf(drawings.rows.images))
    await read()
  }

  const usable = new Set(runtime.flags.providers)
  const providers = choices(
    byId('providers', HTMLFieldSetElement),
    Object.entries(PROVIDERS).map(([value, text]) => ({ value, text, disabled: !usable.has(value) })),
    (provider) => {
      problem.hidden = true
      use(model, provider).catch((error: unknown) => {
        // It goes on as it was, and says why.
        providers.choose(classifier.provider)
        facts()
        say(error)
      })
    },
  )
  providers.choose('wasm')

  const labels = choices(
    byId('labels', HTMLFieldSetElement),
    CLASSES.map((text, at) => ({ value: String(at), text })),
    () => undefined,
  )
  labels.choose(String(DIGITS.length))

  byId('clear', HTMLButtonElement).addEventListener('click', () => board.clear())
  byId('sample', HTMLButtonElement).addEventListener('click', () => {
    const row = Math.floor(Math.random() * files.others.classes.length)
    board.showImage(files.others.images.subarray(row * PIXELS, (row + 1) * PIXELS))
  })

  const teacher = new Teacher({
    runtime,
    files,
    drawings,
    classesOf: (images) => classifier.classesOf(images),
    use: (next) => use(next, classifier.provider),
    say,
  })
  byId('keep', HTMLButtonElement).addEventListener('click', () => {
    const digit = digitOf(board.ink())
    if (digit === undefined) return
    const label = Number(labels.value)
    drawings.add(digit, label)
    taught.add(label)
    board.clear()
    teacher.changed().catch(say)
  })
  byId('reset', HTMLButtonElement).addEventListener('click', () => {
    taught.clear()
    teacher.reset().catch(say)
  })
  document.body.dataset['ready'] = 'true'
  facts()
}
