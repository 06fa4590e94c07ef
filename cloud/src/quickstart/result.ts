/** What `tideway quickstart --json` prints. */
export interface QuickstartResult {
  readonly model: string
  readonly version: number
  readonly manifestDigest: string
  readonly fleet: string
  readonly transport: string
  readonly seed: number
  readonly train: {
    readonly rows: number
    readonly epochs: number
    readonly seconds: number
    readonly samplesPerSecond: number
  }
  readonly accuracy: { readonly fp32: number; readonly int8: number }
  readonly bytes: { readonly fp32: number; readonly int8: number }
  /** Family-wise rate of false alarms that the monitor holds, per device and version. */
  readonly alarmRate: number
  readonly dirtyLens: boolean
  readonly devices: readonly QuickstartDevice[]
  readonly seconds: number
  /** What did not come out as it must; empty when all is well. */
  readonly failures: readonly string[]
}

export interface QuickstartDevice {
  readonly id: string
  readonly pid: number
  /** sha256 of the model file that it runs. */
  readonly digest: string
  readonly active: boolean
  readonly inferences: number
  readonly errors: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly driftFlagged: boolean
  readonly driftScore: number
  readonly bytesFetched: number
}

const MIN_ACCURACY = 0.94
const MAX_ACCURACY_LOSS = 0.005
const MIN_SIZE_RATIO = 3.5
const MAX_SECONDS = 120

/** Holds the result against what the quickstart promises; each failure in words. */
export function failuresOf(result: Omit<QuickstartResult, 'failures'>, int8Digest: string): string[] {
  const { accuracy, bytes, devices, dirtyLens } = result
  const last = devices.at(-1)
  const wrong = devices.filter((device) => device.driftFlagged !== (dirtyLens && device === last))
  const checks: [boolean, string][] = [
    [accuracy.fp32 >= MIN_ACCURACY, `fp32 accuracy ${accuracy.fp32} is below ${MIN_ACCURACY}`],
    [
      accuracy.fp32 - accuracy.int8 <= MAX_ACCURACY_LOSS,
      `int8 accuracy ${accuracy.int8} lies over ${MAX_ACCURACY_LOSS} below fp32`,
    ],
    [
      bytes.fp32 / bytes.int8 >= MIN_SIZE_RATIO,
      `fp32 is only ${(bytes.fp32 / bytes.int8).toFixed(2)} times int8 in size`,
    ],
    [new Set(devices.map(({ pid }) => pid)).size === devices.length, 'two devices share a process'],
    [
      devices.every(({ active, digest }) => active && digest === int8Digest),
      'not every device is active on the int8 variant',
    ],
    [devices.every(({ errors }) => errors === 0), 'a device had errors'],
    [devices.every(({ inferences }) => inferences > 0), 'a device did not infer'],
    [wrong.length === 0, `drift verdict is wrong for ${wrong.map(({ id }) => id).join(', ')}`],
    [result.seconds < MAX_SECONDS, `took ${result.seconds} s`],
  ]
  return checks.filter(([holds]) => !holds).map(([, failure]) => failure)
}
