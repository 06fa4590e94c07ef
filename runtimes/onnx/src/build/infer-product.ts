import type { InferRule, NodeContext } from './context.js'
import { broadcast, show } from './shapes.js'
import type { Dim } from './value.js'

const matMul: InferRule = (node) => {
  const [a, b] = [node.in(0), node.in(1)]
  if (a.dtype !== b.dtype) throw node.invalid(`"${a.name}" is ${a.dtype}, "${b.name}" is ${b.dtype}`)
  if (a.shape.length === 0 || b.shape.length === 0) throw node.invalid('a scalar has no matrix product')
  const left = a.shape.length === 1 ? [1, ...a.shape] : a.shape
  const right = b.shape.length === 1 ? [...b.shape, 1] : b.shape
  agree(node, left.at(-1), right.at(-2))
  const batch = broadcast(node.operator, left.slice(0, -2), right.slice(0, -2), node.fresh)
  const rows = a.shape.length === 1 ? [] : [left.at(-2) ?? 1]
  const columns = b.shape.length === 1 ? [] : [right.at(-1) ?? 1]
  return node.like([...batch, ...rows, ...columns])
}

const gemm: InferRule = (node) => {
  const [a, b] = [node.in(0), node.in(1)]
  if (a.shape.length !== 2 || b.shape.length !== 2)
    throw node.invalid(`${show(a.shape)} and ${show(b.shape)} are no matrices`)
  const [rows, inner] = node.int('transA', 0) === 1 ? [a.shape[1], a.shape[0]] : [a.shape[0], a.shape[1]]
  const [innerB, columns] = node.int('transB', 0) === 1 ? [b.shape[1], b.shape[0]] : [b.shape[0], b.shape[1]]
  agree(node, inner, innerB)
  const shape = [rows ?? 1, columns ?? 1]
  const bias = node.inputs[2]
  if (bias !== undefined) broadcast(node.operator, shape, bias.shape, node.fresh)
  return node.like(shape)
}

function agree(node: NodeContext, left: Dim | undefined, right: Dim | undefined): void {
  if (typeof left === 'number' && typeof right === 'number' && left !== right) {
    throw node.invalid(
      `shapes ${node.inputs.map((value) => show(value?.shape ?? [])).join(' and ')} do not fit: ${left} against ${right}`,
    )
  }
}

export const inferProduct: Readonly<Record<string, InferRule>> = { Gemm: gemm, MatMul: matMul }
