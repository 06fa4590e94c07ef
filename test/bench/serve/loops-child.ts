import { readFile } from 'node:fs/promises'
import { InferenceSession, Tensor } from 'onnxruntime-node'

/** So many loops over `session.run` at once, without HTTP: `FILE THREADS SHAPE LOOPS SECONDS`. Says how many runs a second. */
const [file = '', threads = '1', shapeText = '', loops = '1', seconds = '1'] = process.argv.slice(2)
const shape = shapeText.split(',').map(Number)
const session = await InferenceSession.create(await readFile(file), { intraOpNumThreads: Number(threads) })
const [input = ''] = session.inputNames
const size = shape.reduce((product, length) => product * length, 1)

async function loop(until: number): Promise<number> {
  const feeds = { [input]: new Tensor('float32', new Float32Array(size).fill(0.5), shape) }
  let runs = 0
  while (performance.now() < until) {
    await session.run(feeds)
    runs++
  }
  return runs
}

const all = (ms: number) => Promise.all(Array.from({ length: Number(loops) }, () => loop(performance.now() + ms)))
await all(300)
const began = performance.now()
const runs = (await all(Number(seconds) * 1000)).reduce((sum, each) => sum + each, 0)
console.log(JSON.stringify({ perSecond: runs / ((performance.now() - began) / 1000) }))
