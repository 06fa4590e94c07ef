import { type Augment, type AugmentStep, augmentSchema, type Balance, balanceSchema, issuesOf } from '@tideway/core'
import type { Geometry } from './geometry.js'

/** What steps are for, where not for both. */
const KINDS: Readonly<Partial<Record<AugmentStep['type'], Geometry['kind']>>> = {
  shift: 'image',
  rotate: 'image',
  flip: 'image',
  crop: 'image',
  zoom: 'image',
  brightness: 'image',
  contrast: 'image',
  noise: 'image',
  cutout: 'image',
  jitter: 'series',
  scale: 'series',
  window: 'series',
  timeShift: 'series',
}

export interface AugmentCheck {
  readonly augment?: Augment | undefined
  readonly balance?: Balance | undefined
  readonly geometry: Geometry | undefined
  readonly inputs: string
  /** How many classes there are, where the targets are class indices. */
  readonly classes: number | undefined
}

/** What is wrong with a job's augmentation and balance for its rows: `field: what is wrong`, empty when nothing is. */
export function augmentIssues({ augment = [], balance = 'none', geometry, inputs, classes }: AugmentCheck): string[] {
  const parsed = augmentSchema.safeParse(augment)
  const issues = parsed.success ? [] : issuesOf(parsed.error).map((issue) => `augment.${issue}`)
  if (!balanceSchema.safeParse(balance).success) issues.push('balance: not none, oversample or weights')
  else if (balance !== 'none' && classes === undefined) issues.push(`balance: ${balance} needs classes as targets`)
  if (!parsed.success) return issues
  if (augment.length > 0 && inputs !== 'float32' && inputs !== 'uint8')
    issues.push(`augment: rows are ${inputs}, not float32 or uint8`)
  for (const [place, step] of augment.entries())
    for (const issue of stepIssues(step, geometry)) issues.push(`augment.${place}: ${issue}`)
  return issues
}

function stepIssues(step: AugmentStep, geometry: Geometry | undefined): string[] {
  const kind = KINDS[step.type]
  if (kind === undefined) return []
  const fix = kind === 'image' ? 'say their height, width and channels in `image`' : 'rows of [steps, features]'
  if (geometry?.kind !== kind) return [`${step.type} is for ${kind === 'image' ? 'images' : 'series'}: ${fix}`]
  const { height, width } = geometry
  const issues: string[] = []
  const above = (field: string, value: number | undefined, most: number): void => {
    if (value !== undefined && value > most) issues.push(`${field} ${value} is more than the row's ${most}`)
  }
  if (step.type === 'crop') {
    above('height', step.height, height)
    above('width', step.width, width)
  }
  if (step.type === 'cutout') above('size', step.size, Math.min(height, width))
  if (step.type === 'window') above('length', step.length, height)
  return issues
}
