import { describe, it } from 'vitest'
import { hasVulkanDriver } from './vulkan-driver.js'

const TITLE = '[not run: needs a Vulkan driver; get one with: apt-get install chromium libvulkan1]'

/** A `describe` for suites that need WebGPU in Node; where no driver is found there is one skipped test that says so. */
export function describeWithGpu(title: string, suite: () => void): void {
  if (hasVulkanDriver()) describe(title, suite)
  else describe(title, () => it.skip(TITLE, () => undefined))
}
