/** One engine on one provider, and what to do where it is missing. */
export interface Probe {
  readonly id: string
  readonly engine: string
  readonly provider: string
  /** Whether it can train, too. */
  readonly trains: boolean
  /** Its npm package; not installed means that it is not tried. */
  readonly package: string
  /** Our package that brings it. */
  readonly by: string
  readonly get: string
}

const NATIVE = {
  engine: 'onnx-node',
  package: 'onnxruntime-node',
  by: '@tideway/runtime-onnx-node',
  get: 'npm install onnxruntime-node (Linux glibc, macOS on Apple silicon, Windows)',
} as const

const TFJS = {
  engine: 'tfjs',
  trains: false,
  by: '@tideway/runtime-tfjs',
  get: 'npm install @tideway/runtime-tfjs',
} as const

/** Every engine that a device or a trainer may run on; a further one is a row, and a case in `self-test.ts`. */
export const PROBES: readonly Probe[] = [
  { ...NATIVE, id: 'onnx-node-cpu', provider: 'cpu', trains: true },
  {
    ...NATIVE,
    id: 'onnx-node-webgpu',
    provider: 'webgpu',
    trains: true,
    get: 'a GPU with its driver; on Linux Vulkan, too (apt-get install libvulkan1)',
  },
  {
    ...NATIVE,
    id: 'onnx-node-cuda',
    provider: 'cuda',
    trains: false,
    get: 'on Linux x64: ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js',
  },
  { ...NATIVE, id: 'onnx-node-coreml', provider: 'coreml', trains: false, get: 'macOS' },
  { ...NATIVE, id: 'onnx-node-dml', provider: 'dml', trains: false, get: 'Windows' },
  {
    id: 'onnx-web-wasm',
    engine: 'onnx-web',
    provider: 'wasm',
    trains: false,
    package: 'onnxruntime-web',
    by: '@tideway/runtime-onnx-web',
    get: 'npm install @tideway/runtime-onnx-web',
  },
  {
    ...TFJS,
    id: 'tfjs-tfjs-node-gpu',
    provider: 'tfjs-node-gpu',
    package: '@tensorflow/tfjs-node-gpu',
    get: 'npm install @tideway/runtime-tfjs @tensorflow/tfjs-node-gpu@4.22.0 (x64, an NVIDIA GPU, CUDA 11.2 and cuDNN 8.1)',
  },
  {
    ...TFJS,
    id: 'tfjs-tfjs-node',
    provider: 'tfjs-node',
    package: '@tensorflow/tfjs-node',
    get: "npm install @tideway/runtime-tfjs @tensorflow/tfjs-node@4.22.0 (it downloads TensorFlow's C library)",
  },
  {
    ...TFJS,
    id: 'tfjs-webgpu',
    provider: 'webgpu',
    package: '@tensorflow/tfjs-backend-webgpu',
    get: 'npm install @tideway/runtime-tfjs webgpu, and a GPU with its driver; on Linux Vulkan (apt-get install libvulkan1)',
  },
  { ...TFJS, id: 'tfjs-wasm', provider: 'wasm', package: '@tensorflow/tfjs-backend-wasm' },
  { ...TFJS, id: 'tfjs-cpu', provider: 'cpu', package: '@tensorflow/tfjs-backend-cpu' },
]
