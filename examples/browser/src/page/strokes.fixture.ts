type Stroke = readonly (readonly [x: number, y: number])[]

/** Points of an ellipse, angles in turns from the right downwards. */
function arc(x: number, y: number, width: number, height: number, from: number, to: number): Stroke {
  const points = 10
  return Array.from({ length: points + 1 }, (_, at) => {
    const angle = 2 * Math.PI * (from + ((to - from) * at) / points)
    return [x + width * Math.cos(angle), y + height * Math.sin(angle)]
  })
}

/** Digits as one would write them, on a board of side 1. */
export const drawings: Readonly<Record<string, readonly Stroke[]>> = {
  '0': [arc(0.5, 0.5, 0.2, 0.3, -0.25, 0.75)],
  '1': [
    [
      [0.5, 0.2],
      [0.5, 0.8],
    ],
  ],
  '2': [[...arc(0.5, 0.34, 0.17, 0.15, -0.5, 0.06), [0.34, 0.78], [0.7, 0.78]]],
  '3': [[...arc(0.48, 0.34, 0.16, 0.14, -0.4, 0.25), ...arc(0.48, 0.64, 0.19, 0.16, -0.25, 0.4)]],
  '4': [
    [
      [0.42, 0.2],
      [0.3, 0.55],
      [0.7, 0.55],
    ],
    [
      [0.6, 0.25],
      [0.6, 0.82],
    ],
  ],
  '7': [
    [
      [0.3, 0.24],
      [0.7, 0.24],
      [0.45, 0.8],
    ],
  ],
}

export const triangle = (size: number): Stroke => [
  [0.5, 0.5 - size],
  [0.5 + size, 0.5 + 0.8 * size],
  [0.5 - size, 0.5 + 0.75 * size],
  [0.5, 0.5 - size],
]
