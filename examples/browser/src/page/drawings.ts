import { CLASSES, PIXELS, type Rows } from '../shared.js'
import { paintImage } from './board.js'
import { byId } from './elements.js'

/** The drawings that the user keeps to teach with. */
export class Drawings {
  private readonly list = byId('kept', HTMLUListElement)
  private readonly note = byId('kept-none', HTMLParagraphElement)
  private kept: { readonly image: Float32Array; readonly label: number; readonly mark: HTMLElement }[] = []

  get rows(): Rows {
    const images = new Float32Array(this.kept.length * PIXELS)
    for (const [at, { image }] of this.kept.entries()) images.set(image, at * PIXELS)
    return { images, classes: this.kept.map(({ label }) => label) }
  }

  add(image: Float32Array, label: number): void {
    const item = document.createElement('li')
    const canvas = Object.assign(document.createElement('canvas'), { width: 56, height: 56 })
    const mark = document.createElement('span')
    item.append(canvas, mark)
    this.list.append(item)
    // Black on nothing; where the scheme is dark, the style turns it over.
    paintImage(canvas.getContext('2d')!, image, 'black', canvas.width)
    this.kept.push({ image, label, mark })
    this.note.hidden = true
  }

  /** Marks each as read rightly or not, and gives the number of those that are. */
  mark(classes: readonly number[]): number {
    let right = 0
    for (const [at, { label, mark }] of this.kept.entries()) {
      const isRight = classes[at] === label
      right += Number(isRight)
      mark.className = isRight ? 'right' : 'wrong'
      const read = CLASSES[classes[at]!]!
      mark.textContent = isRight ? `${CLASSES[label]} ✓` : `${CLASSES[label]} ✗`
      mark.title = isRight ? 'read rightly' : `read as ${read}`
    }
    return right
  }

  clear(): void {
    this.kept = []
    this.list.replaceChildren()
    this.note.hidden = false
  }
}
