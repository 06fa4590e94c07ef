import { PIXELS, SIDE } from '../shared.js'
import type { Ink } from './digit.js'

/** What a digit of 20 pixels has as a stroke, when it fills two thirds of the board. */
const STROKE = 22

type Point = readonly [x: number, y: number]

/** What is on the board: strokes, or an image of 28 x 28. */
type Content = { readonly strokes: Point[][] } | { readonly image: Float32Array }

/** The drawing area: strokes by mouse, pen or finger, in the colour of its text. */
export class Board {
  private content: Content = { strokes: [] }
  private readonly context: CanvasRenderingContext2D

  /** `onChange` is told after every piece of a stroke and every other change. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly onChange: () => void,
  ) {
    this.context = canvas.getContext('2d', { willReadFrequently: true })!
    canvas.addEventListener('pointerdown', (event) => this.begin(event))
    canvas.addEventListener('pointermove', (event) => this.move(event))
    // The colour of ink is that of the scheme.
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.paint())
  }

  get isEmpty(): boolean {
    return 'strokes' in this.content && this.content.strokes.length === 0
  }

  clear(): void {
    this.show({ strokes: [] })
  }

  /** Puts an image on the board, as if it had been drawn. */
  showImage(image: Float32Array): void {
    this.show({ image })
  }

  ink(): Ink {
    const { width, height } = this.canvas
    const { data } = this.context.getImageData(0, 0, width, height)
    return { width, height, at: (x, y) => data[(y * width + x) * 4 + 3]! / 255 }
  }

  private show(content: Content): void {
    this.content = content
    this.paint()
    this.onChange()
  }

  private begin(event: PointerEvent): void {
    if (event.button !== 0) return
    this.canvas.setPointerCapture(event.pointerId)
    const begun = [this.pointOf(event)]
    if ('image' in this.content) this.content = { strokes: [begun] }
    else this.content.strokes.push(begun)
    this.paint()
    this.onChange()
  }

  private move(event: PointerEvent): void {
    if (!this.canvas.hasPointerCapture(event.pointerId) || 'image' in this.content) return
    const events = event.getCoalescedEvents()
    this.content.strokes.at(-1)?.push(...(events.length === 0 ? [event] : events).map((piece) => this.pointOf(piece)))
    this.paint()
    this.onChange()
  }

  private pointOf({ clientX, clientY }: PointerEvent): Point {
    const { left, top, width, height } = this.canvas.getBoundingClientRect()
    return [((clientX - left) / width) * this.canvas.width, ((clientY - top) / height) * this.canvas.height]
  }

  private paint(): void {
    const { context, canvas, content } = this
    const { color } = getComputedStyle(canvas)
    context.clearRect(0, 0, canvas.width, canvas.height)
    if ('image' in content) {
      paintImage(context, content.image, color, canvas.width)
      return
    }
    Object.assign(context, { strokeStyle: color, lineWidth: STROKE, lineCap: 'round', lineJoin: 'round' })
    for (const [first, ...rest] of content.strokes) {
      context.beginPath()
      context.moveTo(...first!)
      // A line to where it begins is a dot.
      for (const point of rest.length === 0 ? [first!] : rest) context.lineTo(...point)
      context.stroke()
    }
  }
}

/** Paints an image of 28 x 28 on a square of so many pixels. */
export function paintImage(context: CanvasRenderingContext2D, image: Float32Array, color: string, size: number): void {
  const pixel = size / SIDE
  context.fillStyle = color
  for (let at = 0; at < PIXELS; at++) {
    context.globalAlpha = image[at]!
    context.fillRect((at % SIDE) * pixel, Math.floor(at / SIDE) * pixel, pixel, pixel)
  }
  context.globalAlpha = 1
}
