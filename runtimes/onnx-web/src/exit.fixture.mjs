// Loads and runs a model on so many threads, disposes of it or not, and is done: nothing may keep the process.
import { createOnnxWebRuntime } from '@tideway/runtime-onnx-web'

const [model, threads, end] = process.argv.slice(2)
const session = await createOnnxWebRuntime({ intraOpThreads: Number(threads) }).load(Buffer.from(model, 'base64'))
const { y } = await session.run({ x: { dtype: 'float32', shape: [1], data: Float32Array.of(-1) } })
if (end === 'dispose') await session.dispose()
console.log(session.threads, y.data[0])
