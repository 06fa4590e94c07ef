import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { codeOf } from '@tideway/core'
import {
  GRADIENTS,
  graphOf,
  type Model,
  readModel,
  readTensor,
  setInitializer,
  signatureOf,
  tfjsGraphModel,
  toTensor,
  writeModel,
} from '@tideway/onnx'
import { createTfjsRuntime } from '@tideway/runtime-tfjs'
import { chooseBackend, onBackend } from '@tideway/runtime-tfjs/backends'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Program, tensorOf } from '../../plugins/trainer-tfjs/src/graph/program.js'
import { copied } from '../../runtimes/onnx/src/import/import.fixture.js'

/** Python with the PyPI package `onnx`. */
const python = process.env.TIDEWAY_PYTHON ?? 'python3'
/** Those of ONNX itself: our own, with a domain, are written in them. */
const OPERATORS = Object.keys(GRADIENTS)
  .filter((operator) => !operator.includes('.'))
  .sort()

interface Case {
  readonly name: string
  readonly operators: readonly string[]
  readonly opset: number
  readonly inputs: number
}

let dir: string
const cases: Case[] = []
let notRun: string | undefined
/** What was left out, by reason: told at the end. */
const leftOut = new Map<string, string[]>()
const counts = { readAndWritten: 0, imported: 0, tfjs: 0, graphs: 0 }

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tideway-nodes-'))
  const script = fileURLToPath(new URL('./export_nodes.py', import.meta.url))
  try {
    const { stdout } = await promisify(execFile)(python, [script, dir, ...OPERATORS], { maxBuffer: 2 ** 26 })
    for (const line of stdout.split('\n').filter((text) => text.startsWith('{'))) cases.push(JSON.parse(line) as Case)
  } catch (error) {
    const text = String((error as { stderr?: string }).stderr ?? error)
    if (!/ModuleNotFoundError|ENOENT/.test(text)) throw error
    notRun = `not run: \`pip install onnx\` for ${python}, named by TIDEWAY_PYTHON`
  }
}, 600_000)

afterAll(async () => {
  await rm(dir, { recursive: true })
  const reasons = [...leftOut].map(([reason, names]) => `  ${reason} (${names.length}): ${names.join(', ')}`)
  console.info(
    [
      `${cases.length} cases; read and written: ${counts.readAndWritten}; imported: ${counts.imported}; of these on TensorFlow.js: ${counts.tfjs}, as a Graph model: ${counts.graphs}; left out:`,
      ...reasons,
    ].join('\n'),
  )
})

function leave(reason: string, name: string): void {
  leftOut.set(reason, [...(leftOut.get(reason) ?? []), name])
}

type Outputs = Readonly<Record<string, Tensor>>

async function outputsOf(onnx: Uint8Array, feeds: Readonly<Record<string, Tensor>>): Promise<Outputs> {
  const session = await InferenceSession.create(onnx, { intraOpNumThreads: 1, logSeverityLevel: 4 })
  try {
    return (await session.run(feeds)) as Record<string, Tensor>
  } finally {
    await session.release()
  }
}

const printed = (outputs: Outputs): string =>
  JSON.stringify(
    Object.entries(outputs).map(([name, { type, dims, data }]) => [
      name,
      type,
      dims,
      Array.from(data as ArrayLike<unknown>, exact),
    ]),
  )
const exact = (value: unknown): string => (Object.is(value, -0) ? '-0' : String(value))

/** Equal but for the rounding of other operators. */
function near(ours: Outputs, theirs: Outputs): boolean {
  return Object.entries(theirs).every(([name, { dims, data }]) => {
    const mine = ours[name]
    if (mine === undefined || mine.dims.join() !== dims.join()) return false
    return Array.from(data as ArrayLike<unknown>).every((value, at) => {
      const [a, b] = [Number(value), Number(mine.data[at])]
      return Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-5 + 1e-4 * Math.abs(a)
    })
  })
}

async function check({ name, inputs }: Case, operator: string): Promise<void> {
  const bytes = await readFile(join(dir, name, 'model.onnx'))
  if (inputs < 0) return leave('inputs that are no tensors', name)
  const model = readModel(bytes)
  const written = writeModel(model)
  const feeds: Record<string, Tensor> = {}
  try {
    for (const [place, spec] of signatureOf(model).inputs.entries()) {
      const { dtype, data, shape } = toTensor(readTensor(await readFile(join(dir, name, `input_${place}.pb`))))
      feeds[spec.name] = new Tensor(dtype as 'float32', data as Float32Array, shape)
    }
  } catch (error) {
    const code = codeOf(error)
    if (code !== 'TENSOR_TYPE_UNSUPPORTED' && code !== 'MODEL_INVALID') throw error
    return leave(`${code}: a type that JavaScript has no array for, or an input that is no tensor`, name)
  }
  let theirs: Outputs
  try {
    theirs = await outputsOf(bytes, feeds)
  } catch (error) {
    return leave(`onnxruntime-node does not run the file: ${reasonOf(error)}`, name)
  }
  const again = printed(await outputsOf(bytes, feeds))
  if (again !== printed(theirs)) return leave('gives other numbers each time', name)
  expect(printed(await outputsOf(written, feeds)), name).toBe(again)
  counts.readAndWritten++

  // The importer makes the network as it is used: there dropouts pass everything on.
  if (/training_dropout/.test(name)) return leave('importer: dropouts while training are of the trainer', name)
  let copy: Uint8Array
  try {
    copy = writeModel(copied(withConstants(model, feeds)))
  } catch (error) {
    const code = codeOf(error)
    if (code === undefined) throw error
    const { operator, reason, nodes } = (error as { data: Record<string, unknown> }).data
    const why = [operator, reason ?? (Array.isArray(nodes) ? String(nodes[0]).replace(/^"[^"]*" /, '') : '')]
    return leave(`importer: ${code} ${why.filter(Boolean).join(': ')}`, name)
  }
  expect(near(await outputsOf(copy, feeds), theirs), `${name} imported`).toBe(true)
  counts.imported++

  if (Object.values({ ...feeds, ...theirs }).some(({ type }) => !TFJS_TYPES.has(type)))
    return leave('TensorFlow.js: a type that it has not', name)
  let ours: Outputs
  try {
    ours = await onTfjs(copy, feeds)
  } catch (error) {
    if (codeOf(error) !== 'TFJS_GRAPH_UNSUPPORTED') throw error
    const { issues } = (error as { data: { issues: readonly string[] } }).data
    return leave(`TensorFlow.js: ${issues[0]?.replace(/^.* \(/, '(')}`, name)
  }
  expect(near(ours, theirs), `${name} on TensorFlow.js`).toBe(true)
  counts.tfjs++
  let graph: Uint8Array
  try {
    graph = tfjsGraphModel(WEIGHED.has(operator) ? withWeights(copy, feeds) : copy)
  } catch (error) {
    if (codeOf(error) !== 'TFJS_EXPORT_UNSUPPORTED') throw error
    const { nodes } = (error as { data: { nodes: readonly string[] } }).data
    return leave(`Graph model: ${nodes[0]?.replace(/^[^(]* \(/, '(')}`, name)
  }
  expect(near(await onGraphModel(graph, feeds), theirs), `${name} as a Graph model`).toBe(true)
  counts.graphs++
}

/** As devices load it. */
async function onGraphModel(graph: Uint8Array, feeds: Readonly<Record<string, Tensor>>): Promise<Outputs> {
  const session = await createTfjsRuntime({ providers: ['cpu'] }).load(graph)
  const given = Object.entries(feeds).map(([name, { type, dims, data }]) => [name, { dtype: type, shape: dims, data }])
  const outputs = await session.run(Object.fromEntries(given) as Parameters<typeof session.run>[0])
  await session.dispose()
  return Object.fromEntries(
    Object.entries(outputs).map(([name, { dtype, shape, data }]) => [
      name,
      { type: dtype, dims: shape, data } as unknown as Tensor,
    ]),
  )
}

/** As the trainer on TensorFlow.js computes them. */
const TFJS_TYPES: ReadonlySet<string> = new Set(['float32', 'int32', 'int64', 'uint8', 'bool'])

async function onTfjs(onnx: Uint8Array, feeds: Readonly<Record<string, Tensor>>): Promise<Outputs> {
  const { engine } = await chooseBackend(['cpu'])
  const outputs = await onBackend(engine, () => {
    const program = new Program(readModel(onnx))
    const given = Object.entries(feeds).map(([name, { type, dims, data }]) => {
      const tensor = { dtype: type, shape: dims, data } as Parameters<typeof tensorOf>[0]
      return [name, tensorOf(tensor)] as const
    })
    return program.run(Object.fromEntries(given))
  })
  const read = Object.entries(outputs).map(async ([name, tensor]) => {
    const data = await tensor.data()
    return [name, { type: tensor.dtype, dims: tensor.shape, data } as unknown as Tensor] as const
  })
  return Object.fromEntries(await Promise.all(read))
}

/** Operators whose weights a Graph model has stored; cases feed them. */
const WEIGHED: ReadonlySet<string> = new Set(['BatchNormalization', 'Conv', 'ConvTranspose', 'GRU', 'LSTM'])

/** The model with every input but the first stored in it. */
function withWeights(onnx: Uint8Array, feeds: Record<string, Tensor>): Uint8Array {
  const model = readModel(onnx)
  const graph = graphOf(model)
  for (const { name = '' } of graph.input.splice(1)) {
    const { type, dims, data } = feeds[name] as Tensor
    setInitializer(graph, name, { dtype: type, shape: dims, data } as Parameters<typeof setInitializer>[2])
    delete feeds[name]
  }
  return writeModel(model)
}

/** The model with the axes, sizes and pads that a case feeds stored in it, as exporters write them. */
function withConstants(model: Model, feeds: Record<string, Tensor>): Model {
  const copy = readModel(writeModel(model))
  const graph = graphOf(copy)
  const isFixed = (name: string): boolean => {
    const value = feeds[name]
    return value !== undefined && value.type === 'int64' && value.dims.length === 1 && value.size <= 8
  }
  const stored = graph.input.map(({ name = '' }) => name).filter(isFixed)
  if (stored.length === graph.input.length) return copy
  for (const name of stored) {
    const { dims, data } = feeds[name] as Tensor
    setInitializer(graph, name, { dtype: 'int64', shape: dims, data: data as BigInt64Array })
    delete feeds[name]
  }
  graph.input = graph.input.filter(({ name = '' }) => !stored.includes(name))
  return copy
}

const reasonOf = (error: unknown): string =>
  /NOT_IMPLEMENTED|Could not find an implementation/.test(String(error))
    ? 'no kernel'
    : /opset|not supported|under development|model\.cc/i.test(String(error))
      ? 'operator set or IR too new'
      : String(error).slice(0, 60)

describe("ONNX's own backend tests keep their results through reading and writing, and through the importer", () => {
  for (const operator of OPERATORS) {
    it(operator, async (context) => {
      if (notRun !== undefined) context.skip(notRun)
      const own = cases.filter(({ operators }) => operators[0] === operator || operators.includes(operator))
      if (own.length === 0) return leave('onnx has no case of it', operator)
      for (const item of own.filter(({ operators }) => operators[0] === operator)) await check(item, operator)
    })
  }
})
