import { execFileSync } from 'node:child_process'
import { describe, it } from 'vitest'

/** A small file system of its own on a folder. */
export interface SmallDisk {
  readonly dir: string
  /** Options of mount: `size=4m`, `ro`, `rw`. Throws while a file is being written and it should become read-only. */
  remount(options: string): void
  unmount(): void
}

export function mountSmallDisk(dir: string, kibibytes: number): SmallDisk {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'tmpfs', dir], { stdio: 'pipe' })
  return {
    dir,
    remount: (options) => void execFileSync('mount', ['-o', `remount,${options}`, dir], { stdio: 'pipe' }),
    unmount: () => void execFileSync('umount', ['-l', dir], { stdio: 'pipe' }),
  }
}

function canMount(): boolean {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return false
  try {
    execFileSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}

/** A `describe` for suites that need small disks; where none may be mounted, one skipped test says so. */
export function describeWithSmallDisk(title: string, suite: () => void): void {
  if (canMount()) describe(title, suite)
  else describe(title, () => it.skip('[not run: needs root on Linux, to mount a tmpfs]', () => undefined))
}
