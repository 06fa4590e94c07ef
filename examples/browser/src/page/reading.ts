import { CLASSES, DIGITS } from '../shared.js'
import { largest } from './classifier.js'
import { byId, percent } from './elements.js'

/** Shows what the model says of the drawing: its answer, and each class with its probability. */
export class Reading {
  private readonly answer = byId('answer', HTMLOutputElement)
  private readonly bars = CLASSES.map((name) => {
    const row = document.createElement('li')
    const bar = document.createElement('i')
    row.append(name, bar)
    return { row, bar }
  })

  constructor() {
    byId('bars', HTMLOListElement).append(...this.bars.map(({ row }) => row))
    this.show(undefined, new Set())
  }

  /** `taught` are the classes beyond digits that are to be seen. */
  show(probabilities: Float32Array | undefined, taught: ReadonlySet<number>): void {
    for (const [at, { row, bar }] of this.bars.entries()) {
      const share = probabilities?.[at] ?? 0
      row.hidden = at >= DIGITS.length && !taught.has(at)
      row.title = percent(share, 1)
      bar.style.setProperty('--share', String(share))
    }
    const [name, certainty] = this.answer.children
    const best = probabilities === undefined ? undefined : largest(probabilities)
    name!.textContent = best === undefined ? '–' : CLASSES[best]!
    certainty!.textContent = best === undefined ? 'nothing drawn' : certaintyOf(probabilities![best]!)
  }
}

/** Nothing is quite sure. */
const certaintyOf = (share: number): string => (share > 0.99 ? 'over 99% sure' : `${percent(share)} sure`)
