/** How much the dirt adds to every pixel, of 1. */
const HAZE = 0.2

/**
 * An image [height, width], values 0 to 1, seen through a dirty lens: blurred by a 3 x 3 mean and lit by haze.
 * Pixels outside the image are as their nearest inside.
 */
export function dirtyLens(image: Float32Array, height: number, width: number): Float32Array {
  const seen = new Float32Array(image.length)
  const clamp = (value: number, size: number) => Math.min(size - 1, Math.max(0, value))
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      let sum = 0
      for (let dy = -1; dy <= 1; dy += 1)
        for (let dx = -1; dx <= 1; dx += 1) sum += image[clamp(y + dy, height) * width + clamp(x + dx, width)]!
      seen[y * width + x] = Math.min(1, sum / 9 + HAZE)
    }
  }
  return seen
}
