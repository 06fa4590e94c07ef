import type { Tensor } from '@tideway/core'
import { type Attributes, makeNode } from '../../format/node.js'
import { fromTensor } from '../../format/tensor.js'
import type { Graph, Node } from '../../generated/onnx_pb.js'
import type { AffineScale } from '../reference.js'
import type { Names } from './names.js'

export const MICROSOFT = 'com.microsoft'

/** The file under construction: which form of each tensor there is so far, and what has been stored. */
export class Writer {
  readonly nodes: Node[] = []
  readonly stored: Graph['initializer'] = []
  private readonly constants = new Map<string, string>()
  private readonly floats = new Set<string>()
  private readonly integers = new Map<string, string>()
  private readonly restored = new Map<string, string>()

  constructor(
    readonly names: Names,
    /** Scale and zero point of tensors that are carried as integers. */
    private readonly scaleOf: (name: string) => AffineScale,
  ) {}

  add(
    opType: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: Attributes = {},
    domain = '',
  ): void {
    const given = [...inputs]
    while (given.at(-1) === '') given.pop()
    const node = makeNode(opType, given, outputs, attributes)
    if (domain !== '') node.domain = domain
    this.nodes.push(node)
  }

  /** Stores a tensor; equal ones share one. */
  constant(tensor: Tensor): string {
    const { buffer, byteOffset, byteLength } = tensor.data as Uint8Array
    // Large tensors are hardly ever equal, and keys of them would be.
    const key =
      byteLength > 4096
        ? undefined
        : `${tensor.dtype}[${tensor.shape.join()}]${String.fromCharCode(...new Uint8Array(buffer, byteOffset, byteLength))}`
    const known = key === undefined ? undefined : this.constants.get(key)
    if (known !== undefined) return known
    const name = this.names.fresh()
    this.stored.push(fromTensor(name, tensor))
    if (key !== undefined) this.constants.set(key, name)
    return name
  }

  float(...values: number[]): string {
    return this.constant({ dtype: 'float32', shape: [], data: Float32Array.from(values) })
  }

  /** Names of the stored scale and zero point of a tensor. */
  scaleNames(name: string): [scale: string, zeroPoint: string] {
    const { scale, zeroPoint } = this.scaleOf(name)
    const zero: Tensor = { dtype: 'uint8', shape: [], data: Uint8Array.of(zeroPoint) }
    return [this.float(scale), this.constant(zero)]
  }

  /** Says that a tensor is there as float, under its name. */
  gaveFloat(name: string): string {
    this.floats.add(name)
    return this.names.of(name)
  }

  /** Says that a tensor is there as integers, and gives the name for them. */
  gaveIntegers(name: string): string {
    const made = this.names.fresh()
    this.integers.set(name, made)
    return made
  }

  /** The tensor as integers, converted here if it is not there yet. */
  integersOf(name: string): string {
    const known = this.integers.get(name)
    if (known !== undefined) return known
    const input = this.names.of(name)
    const made = this.gaveIntegers(name)
    this.add('QuantizeLinear', [input, ...this.scaleNames(name)], [made])
    return made
  }

  /** The float values that a tensor's integers stand for. */
  restoredOf(name: string): string {
    const known = this.restored.get(name)
    if (known !== undefined) return known
    const integers = this.integersOf(name)
    // Where there was no float before, this is it.
    const made = this.floats.has(name) ? this.names.fresh() : this.gaveFloat(name)
    this.restored.set(name, made)
    this.add('DequantizeLinear', [integers, ...this.scaleNames(name)], [made])
    return made
  }

  /** The tensor as float: as it was computed, else as its integers say. */
  floatOf(name: string): string {
    return this.integers.has(name) && !this.floats.has(name) ? this.restoredOf(name) : this.names.of(name)
  }
}
