import { readModel } from '@tideway/onnx'

/** Operators that hand on what they are given, in another form. */
const PASSING: ReadonlySet<string> = new Set([
  'Cast',
  'Identity',
  'DequantizeLinear',
  'QuantizeLinear',
  'Reshape',
  'Squeeze',
])

/** Whether an output of an ONNX file is what Softmax gives: odds of classes that exclude one another. */
export function tellsClasses(onnx: Uint8Array): boolean {
  const { graph } = readModel(onnx)
  const nodes = graph?.node ?? []
  return (graph?.output ?? []).some(({ name }) => {
    let value = name
    for (let steps = 0; steps < nodes.length; steps++) {
      const node = nodes.find(({ output }) => output.includes(value ?? ''))
      if (node?.opType === 'Softmax') return true
      if (node === undefined || !PASSING.has(node.opType ?? '')) return false
      value = node.input[0]
    }
    return false
  })
}
