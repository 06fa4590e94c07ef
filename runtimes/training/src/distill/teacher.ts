import {
  codeOf,
  distillationSchema,
  issuesOf,
  type LossConfig,
  type ResolvedDistillation,
  resolveDistillation,
  resolveLoss,
  type TidewayError,
  type TrainJob,
} from '@tideway/core'
import { floats, type GraphBuilder, int64s, lossOf, softmaxCrossEntropySoft, type Value } from '@tideway/onnx'
import { errors } from '../errors.js'
import { importTrainable } from '../imported/index.js'
import type { Forward, ForwardContext, Trainable } from '../trainable.js'

/** A model whose outputs a network is trained on, in the graph of a step with its weights as they are. */
export interface Teacher extends ResolvedDistillation {
  readonly network: Trainable
}

/**
 * A job's teacher, with its file's bytes; undefined for a job without. Throws `TRAIN_CONFIG_INVALID` naming every field
 * that is wrong, and what `importModel` throws for the file.
 */
export function teacherOf(
  { distillation }: Pick<TrainJob, 'distillation'>,
  bytes: Uint8Array | undefined,
  student: Trainable,
): Teacher | undefined {
  if (distillation === undefined) return undefined
  const read = distillationSchema.safeParse({
    temperature: distillation.temperature,
    weight: distillation.weight,
  })
  const issues = read.success ? [] : issuesOf(read.error)
  if (bytes === undefined) issues.push('the model is missing (`TrainContext.teacher`)')
  const network = bytes && imported(bytes, issues)
  if (network !== undefined) issues.push(...shapeIssues(network, student))
  if (issues.length > 0 || network === undefined || !read.success)
    throw errors.TRAIN_CONFIG_INVALID({ issues: issues.map((issue) => `distillation: ${issue}`) })
  return { network, ...resolveDistillation(read.data) }
}

function imported(bytes: Uint8Array, issues: string[]): Trainable | undefined {
  try {
    return importTrainable(bytes)
  } catch (error) {
    if (codeOf(error) !== 'TRAIN_CONFIG_INVALID') throw error
    issues.push(...((error as TidewayError).data as { issues: readonly string[] }).issues)
    return undefined
  }
}

/** A row is the same numbers in the same order where one of the two is flat, or they differ by sizes of 1. */
function shapeIssues(teacher: Trainable, student: Trainable): string[] {
  const issues: string[] = []
  const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1)
  const plain = (shape: readonly number[]): string => shape.filter((size) => size !== 1).join()
  const [theirs, ours] = [teacher.input.shape, student.input.shape]
  const isSame =
    plain(theirs) === plain(ours) || (count(theirs) === count(ours) && (theirs.length === 1 || ours.length === 1))
  if (!isSame) issues.push(`the teacher takes rows [${theirs.join(', ')}], the network [${ours.join(', ')}]`)
  if (teacher.output.shape.join() !== student.output.shape.join())
    issues.push(
      `the teacher gives [${teacher.output.shape.join(', ')}], the network [${student.output.shape.join(', ')}]`,
    )
  return issues
}

/**
 * Adds the loss against a teacher, a float32 scalar. Of classes: cross-entropy with the teacher's shares at the
 * temperature T, times T², so that its gradients are as large as those of the targets' whatever T is (Hinton et al. 2015,
 * section 2); the same of sigmoids. Of numbers: the mean squared difference, without temperature.
 */
export function addTeacher(
  g: GraphBuilder,
  { network, temperature }: Teacher,
  rows: Value,
  student: Forward,
  config: LossConfig,
): Value {
  const given = network.forward(g, shaped(g, rows, network), asItIs(g, network), g.fresh('teacher/output'))
  const loss = resolveLoss(config)
  const number = (value: number): Value => g.constant(floats('float32', [value]))
  const cool = (value: Value): Value => (temperature === 1 ? value : g.op('Mul', [value, number(1 / temperature)]))
  const warm = (value: Value): Value => (temperature === 1 ? value : g.op('Mul', [value, number(temperature ** 2)]))
  if (loss.type === 'softmaxCrossEntropy') {
    const shares = g.op('Softmax', [cool(given.logits)], { axis: -1n })
    return warm(softmaxCrossEntropySoft(g, cool(student.logits), shares))
  }
  if (loss.type === 'sigmoidCrossEntropy') {
    const shares = g.op('Sigmoid', [cool(given.logits)])
    return warm(lossOf(resolveLoss('sigmoidCrossEntropy')).add(g, cool(student.logits), shares))
  }
  return lossOf(resolveLoss('meanSquaredError')).add(g, student.output, given.output)
}

function shaped(g: GraphBuilder, rows: Value, { input }: Trainable): Value {
  if (rows.shape.slice(1).join() === input.shape.join()) return rows
  return g.op('Reshape', [rows, g.constant(int64s([0, ...input.shape]))])
}

/** The context of a network that stays as its file has it. */
function asItIs(g: GraphBuilder, { parameters, statistics }: Trainable): ForwardContext {
  const all = [
    ...parameters.map((spec) => ({ ...spec, data: () => spec.initial(() => 0) })),
    ...statistics.map((spec) => ({ ...spec, data: () => spec.initial() })),
  ]
  const specs = new Map(all.map((spec) => [spec.name, spec]))
  const stored = new Map<string, Value>()
  const take = (name: string): Value => {
    const spec = specs.get(name)
    const known = stored.get(name)
    if (known !== undefined || spec === undefined) return known as Value
    const { shape, data } = spec
    const value = g.initializer(g.fresh(`teacher/${name}`), { dtype: 'float32', shape, data: data() })
    stored.set(name, value)
    return value
  }
  const never = (): never => {
    throw new TypeError('only a training step has this')
  }
  return { training: false, parameter: take, statistic: take, update: never, mask: never, penalty: never }
}
