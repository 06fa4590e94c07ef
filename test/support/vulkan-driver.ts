import { existsSync } from 'node:fs'

/** Chromium brings a Vulkan driver that computes on the CPU. */
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json'
/** What the kernel shows of GPUs. Drivers alone say nothing: Debian installs them with the loader. */
const DEVICES = ['/dev/dri', '/dev/nvidiactl', '/dev/dxg']
const LOADERS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib']

const isLinux = process.platform === 'linux'
const hasDevice = (): boolean => DEVICES.some((path) => existsSync(path))
const hasLoader = (): boolean => LOADERS.some((folder) => existsSync(`${folder}/libvulkan.so.1`))

/** Names the driver that computes on the CPU to Vulkan's loader where there is no GPU; before the tests' processes start. */
export function chooseVulkanDriver(): void {
  if (!isLinux || process.env['VK_DRIVER_FILES'] !== undefined || !existsSync(SWIFTSHADER)) return
  if (!hasDevice()) process.env['VK_DRIVER_FILES'] = SWIFTSHADER
}

/** Whether WebGPU may find an adapter: elsewhere than on Linux the system brings one. */
export function hasVulkanDriver(): boolean {
  if (!isLinux) return true
  return hasLoader() && (process.env['VK_DRIVER_FILES'] !== undefined || hasDevice())
}
