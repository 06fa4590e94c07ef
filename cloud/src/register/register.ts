import { basename } from 'node:path'
import {
  canonicalJson,
  encodeTensors,
  HOST_VERSION,
  type Manifest,
  type Runtime,
  sha256Hex,
  type Variant,
  type VersionRecord,
  writeManifest,
} from '@tideway/core'
import { readModel, tensorRanges } from '@tideway/onnx'
import { cloudErrors } from '../errors.js'
import type { Artifacts } from '../pipeline/artifacts.js'
import type { OtherEngine } from '../pipeline/engines.js'
import { storeKnownAnswers } from '../pipeline/known-answers.js'
import { type Rows, type RowsOrder, readRows } from '../quantize/rows.js'
import { type Described, describe } from './describe.js'
import { closeFiles, type OpenedFile, openFiles } from './files.js'
import { madeUpRows, testRows } from './rows.js'

/** Files that are forms of one model, to be registered as they are. */
export interface RegisterOrder {
  readonly model: string
  readonly files: readonly string[]
  readonly aliases: readonly string[]
  /** Names of the classes, by index; those of the data where left out. */
  readonly classes?: readonly string[] | undefined
  /** Rows of the model's inputs: its known answers, its scores and the baseline of drift are of them. */
  readonly data?: Omit<RowsOrder, 'signature' | 'labels'> | undefined
}

export interface Registration {
  readonly version: VersionRecord
  /** False where the same files, rows and classes were registered before. */
  readonly created: boolean
  /** In the order in which a device tries them. */
  readonly variants: readonly Pick<Variant, 'id' | 'precision' | 'requires' | 'knownAnswers' | 'files'>[]
  /** By measure and precision, as `accuracy.int8`; of the rows of `data`. */
  readonly metrics: Readonly<Record<string, number>>
  readonly notes: readonly string[]
}

export interface RegisterTools {
  readonly runtime: Runtime
  /** Engines that devices may have, to say how closely their answers must agree. */
  readonly others: readonly OtherEngine[]
  readonly artifacts: Artifacts
}

/**
 * Registers ONNX files as a version: each is a variant with known answers of its own, of given rows or of made-up ones. Nothing is
 * sent before all of it was read and run, and the version is there once everything that it names is.
 *
 * Throws `FILE_NOT_LOADED`, `MODEL_INVALID`, `REGISTER_ORDER_INVALID`, `ROWS_NEEDED`, `DATA_INVALID`, `ANSWERS_NOT_FINITE`, and
 * what the cloud refuses.
 */
export async function registerFiles(order: RegisterOrder, tools: RegisterTools): Promise<Registration> {
  const { runtime, artifacts } = tools
  const opened = await openFiles(order.files, runtime)
  try {
    const notes: string[] = []
    const float = opened.find(({ precision }) => precision === 'fp32') ?? (opened.at(-1) as OpenedFile)
    const { signature } = float.session
    const given = order.data && (await readRows({ ...order.data, signature, labels: true }))
    const rows: Rows = given ?? { inputs: await madeUpRows(float.session), notes: [] }
    notes.push(...rows.notes)
    const classes = classesOf(order, rows, opened)
    const described = await describe({
      opened,
      float,
      rows,
      classes,
      hasData: given !== undefined,
      image: order.data?.image,
    })
    notes.push(...described.notes)
    const variants: Variant[] = []
    for (const one of opened) variants.push(await variantOf(one, { float, rows, described }, tools, notes))
    if (float.precision !== 'fp32')
      notes.push(
        `no file is of fp32: how far another processor may be off is taken from ${runtime.name} and what engines differ by here`,
      )
    const manifest: Manifest = {
      v: 1,
      model: order.model,
      signature: { inputs: [...signature.inputs], outputs: [...signature.outputs] } as Manifest['signature'],
      variants,
      ...(classes && { classes: [...classes] }),
      ...(described.profile && { profile: described.profile }),
      ...(described.baseline && { baseline: await artifacts.putBlob(described.baseline) }),
      metrics: { ...described.metrics },
      lineage: lineageOf(order, opened, rows),
    }
    const entry = { model: order.model, manifest: writeManifest(manifest), aliases: order.aliases }
    return { ...(await artifacts.register(entry)), variants, metrics: described.metrics, notes }
  } finally {
    await closeFiles(opened)
  }
}

async function variantOf(
  { file, onnx, session, precision, requires }: OpenedFile,
  { float, rows, described }: { float: OpenedFile; rows: Rows; described: Described },
  { artifacts, runtime, others }: RegisterTools,
  notes: string[],
): Promise<Variant> {
  const stored = await artifacts.putFile(onnx, tensorRanges(readModel(onnx), onnx))
  const knownAnswers = await storeKnownAnswers(artifacts, {
    variant: session,
    file: onnx,
    float: float.session,
    rows: testRows(session, rows.inputs),
    classifies: described.classifies,
    engine: runtime.name,
    others,
    onUnable: (engine, reason) => notes.push(`${engine} cannot run ${basename(file)}: ${reason}`),
  })
  const files = [{ path: `model.${precision}.onnx`, ...stored }]
  return { id: `onnx-${precision}`, format: 'onnx', precision, requires: [...requires], files, knownAnswers }
}

/** Throws `REGISTER_ORDER_INVALID` where there are others than the model gives. */
function classesOf(
  { classes: named }: RegisterOrder,
  { classes: found }: Rows,
  [first]: readonly OpenedFile[],
): readonly string[] | undefined {
  const widths = first!.session.signature.outputs.map(({ shape }) => shape.at(-1))
  if (named !== undefined && !widths.includes(named.length) && !widths.includes(null))
    throw cloudErrors.REGISTER_ORDER_INVALID({
      issues: [`--classes: ${named.length} names, but the model gives ${widths.join(', ')} numbers a row`],
    })
  return named ?? found
}

function lineageOf(order: RegisterOrder, opened: readonly OpenedFile[], rows: Rows): Manifest['lineage'] {
  const files = opened.map(({ onnx }) => sha256Hex(onnx))
  const { targets } = rows
  return {
    dataDigest: sha256Hex(encodeTensors({ rows: rows.inputs, ...(targets && { targets: { targets } }) })),
    configDigest: sha256Hex(canonicalJson({ files, classes: order.classes ?? null })),
    seed: 0,
    code: HOST_VERSION,
  }
}
