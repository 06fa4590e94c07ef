import type { ShadowCounts, TrafficView } from '@tideway/core'

/** What several processes say of one model's traffic, as one: in force where it is in all, and counts added up. */
export function together(views: readonly [TrafficView, ...TrafficView[]]): TrafficView {
  const [first] = views
  const { state, reason } = views.find((view) => view.state !== 'effective') ?? first
  const answered: Record<string, number> = {}
  for (const view of views)
    for (const [version, count] of Object.entries(view.answered)) answered[version] = (answered[version] ?? 0) + count
  const shadows = views.flatMap(({ shadow }) => shadow ?? [])
  return { ...first, state, reason, answered, ...(shadows.length > 0 && { shadow: shadowOf(shadows) }) }
}

function shadowOf(all: readonly ShadowCounts[]): ShadowCounts {
  const sum = (of: (counts: ShadowCounts) => number) => all.reduce((total, counts) => total + of(counts), 0)
  const compared = ({ agreed, differed }: ShadowCounts) => agreed + differed
  const timed = sum((counts) => (counts.latencyRatio === undefined ? 0 : compared(counts)))
  const latencyRatio = sum((counts) => (counts.latencyRatio ?? 0) * compared(counts)) / timed
  return {
    agreed: sum(({ agreed }) => agreed),
    differed: sum(({ differed }) => differed),
    failed: sum(({ failed }) => failed),
    dropped: sum(({ dropped }) => dropped),
    ...(timed > 0 && { latencyRatio }),
  }
}
