import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { arch, availableParallelism, cpus, release, totalmem } from 'node:os'
import { promisify } from 'node:util'

/** What this machine is, as far as it matters to engines. */
export interface Machine {
  readonly node: string
  readonly platform: string
  readonly cpu: string
  /** Threads that run at once. */
  readonly threads: number
  readonly memoryBytes: number
  /** Vector and dot-product instructions that engines use; empty where the system does not tell. */
  readonly features: readonly string[]
  readonly gpus: readonly string[]
}

/** As /proc/cpuinfo calls them, and as people do. */
const FEATURES = {
  avx2: 'AVX2',
  avx512f: 'AVX-512',
  avx_vnni: 'AVX-VNNI',
  avx512_vnni: 'AVX-512 VNNI',
  amx_int8: 'AMX',
  asimddp: 'dot product',
  i8mm: 'int8 matrices',
  sve: 'SVE',
} as const

export async function machineHere(): Promise<Machine> {
  return {
    node: process.version,
    platform: `${process.platform} ${arch()} ${release()}`,
    cpu: cpus()[0]?.model.trim() || 'unknown',
    threads: availableParallelism(),
    memoryBytes: totalmem(),
    features: features(),
    gpus: await gpus(),
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function features(): string[] {
  if (process.platform === 'darwin' && arch() === 'arm64') return [FEATURES.asimddp]
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(text('/proc/cpuinfo'))?.[1]?.trim().split(/\s+/))
  return Object.entries(FEATURES).flatMap(([flag, name]) => (flags.has(flag) ? [name] : []))
}

const VENDORS: Readonly<Record<string, string>> = {
  '0x10de': 'NVIDIA',
  '0x1002': 'AMD',
  '0x8086': 'Intel',
  '0x106b': 'Apple',
}

/** Names of GPUs as the system tells them; nothing is said where it does not. */
async function gpus(): Promise<string[]> {
  if (process.platform === 'linux') return linuxGpus()
  const [command, ...args] =
    process.platform === 'darwin'
      ? ['system_profiler', 'SPDisplaysDataType']
      : ['powershell', '-NoProfile', '-Command', '(Get-CimInstance Win32_VideoController).Name']
  try {
    const { stdout } = await promisify(execFile)(command!, args, { timeout: 10_000 })
    const lines = stdout.split('\n').map((line) => line.trim())
    if (process.platform === 'win32') return lines.filter(Boolean)
    return lines.flatMap((line) => /^Chipset Model: (.+)$/.exec(line)?.[1] ?? [])
  } catch {
    return []
  }
}

function linuxGpus(): string[] {
  const entries = (folder: string): string[] => {
    try {
      return readdirSync(folder)
    } catch {
      return []
    }
  }
  const nvidia = entries('/proc/driver/nvidia/gpus').flatMap(
    (gpu) => /^Model:\s*(.+)$/m.exec(text(`/proc/driver/nvidia/gpus/${gpu}/information`))?.[1] ?? [],
  )
  const cards = entries('/sys/class/drm')
    .filter((name) => /^card\d+$/.test(name))
    .map((card) => text(`/sys/class/drm/${card}/device/vendor`).trim())
    .filter((vendor) => vendor !== '' && !(vendor === '0x10de' && nvidia.length > 0))
    .map((vendor) => `${VENDORS[vendor] ?? vendor} graphics`)
  return [...nvidia, ...cards]
}
