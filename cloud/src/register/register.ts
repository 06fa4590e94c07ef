import { basename } from 'node:path'
import {
  canonicalJson,
  codeOf,
  encodeTensors,
  HOST_VERSION,
  type Manifest,
  type Runtime,
  sha256Hex,
  type Tensors,
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
import { namedClasses } from './classes.js'
import { type Described, describe } from './describe.js'
import { closeFiles, type OpenedFile, openFiles } from './files.js'
import { madeUpInputs } from './made-up.js'
import { Parcel } from './parcel.js'
import { answersRows, testedInputs } from './rows.js'

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
  /** Names of the classes by index, where they are known. */
  readonly classes?: readonly string[] | undefined
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
 * Throws `FILE_NOT_LOADED`, `MODEL_INVALID`, `REGISTER_ORDER_INVALID`, `ROWS_NEEDED`, `DATA_INVALID`, `ANSWERS_NOT_FINITE`,
 * `ANSWERS_NOT_COMPARABLE`, and what the cloud refuses.
 */
export async function registerFiles(order: RegisterOrder, tools: RegisterTools): Promise<Registration> {
  const opened = await openFiles(order.files, tools.runtime)
  try {
    const parcel = new Parcel()
    const { manifest, notes } = await manifestOf(order, opened, { ...tools, artifacts: parcel })
    const { variants, classes, metrics } = manifest
    const bytes = written(manifest)
    await parcel.send(tools.artifacts)
    const entry = { model: order.model, manifest: bytes, aliases: order.aliases }
    return { ...(await tools.artifacts.register(entry)), variants, classes, metrics, notes }
  } finally {
    await closeFiles(opened)
  }
}

type Making = Omit<RegisterTools, 'artifacts'> & { readonly artifacts: Parcel }

async function manifestOf(order: RegisterOrder, opened: readonly OpenedFile[], making: Making) {
  const notes: string[] = []
  const float = opened.find(({ precision }) => precision === 'fp32') ?? (opened.at(-1) as OpenedFile)
  const { signature } = float.session
  const given = order.data && (await readRows({ ...order.data, signature, labels: true }))
  const tested = given ? testedInputs(float.session, given.inputs) : await madeUpInputs(float.session)
  const outputs = await float.session.run(tested)
  const { classes, rows } = namedClasses(order.classes, given ?? { inputs: tested, notes: [] }, outputs)
  const described = given
    ? await describe({
        opened,
        float,
        rows,
        isRowwise: answersRows(outputs, tested),
        classes,
        image: order.data?.image,
      })
    : { classifies: classes !== undefined, metrics: {}, notes: [WITHOUT_DATA] }
  notes.push(...rows.notes, ...described.notes)
  const variants: Variant[] = []
  for (const one of opened) variants.push(await variantOf(one, { float, tested, described }, making, notes))
  if (float.precision !== 'fp32') notes.push(WITHOUT_FLOAT)
  const { profile, baseline, metrics } = described
  const manifest: Manifest = {
    v: 1,
    model: order.model,
    signature: { inputs: [...signature.inputs], outputs: [...signature.outputs] } as Manifest['signature'],
    variants,
    ...(classes && { classes: [...classes] }),
    ...(profile && { profile }),
    ...(baseline && { baseline: await making.artifacts.putBlob(baseline) }),
    metrics: { ...metrics },
    lineage: lineageOf(order, opened, rows),
  }
  return { manifest, notes }
}

const WITHOUT_DATA =
  'without --data: its known answers are of made-up rows, and its drift has nothing to be held against'
const WITHOUT_FLOAT =
  'no file is of fp32: how far answers may be off elsewhere is taken from what engines differ by here alone'

async function variantOf(
  { file, onnx, session, precision, requires }: OpenedFile,
  { float, tested, described }: { float: OpenedFile; tested: Tensors; described: Described },
  { artifacts, runtime, others }: Making,
  notes: string[],
): Promise<Variant> {
  const stored = await artifacts.putFile(onnx, tensorRanges(readModel(onnx), onnx))
  const knownAnswers = await storeKnownAnswers(artifacts, {
    variant: session,
    file: onnx,
    float: float.session,
    rows: tested,
    classifies: described.classifies,
    engine: runtime.name,
    others,
    onUnable: (engine, reason) => notes.push(`${engine} cannot run ${basename(file)}: ${reason}`),
  })
  const files = [{ path: `model.${precision}.onnx`, ...stored }]
  return { id: `onnx-${precision}`, format: 'onnx', precision, requires: [...requires], files, knownAnswers }
}

/** Throws `REGISTER_ORDER_INVALID` where the files have more pieces than a manifest has room for. */
function written(manifest: Manifest): Uint8Array {
  try {
    return writeManifest(manifest)
  } catch (error) {
    if (codeOf(error) !== 'MANIFEST_TOO_LARGE') throw error
    const bytes = manifest.variants.reduce(
      (sum, { files }) => sum + files.reduce((size, file) => size + file.size, 0),
      0,
    )
    const issue = `${Math.round(bytes / 1e6)} MB of files: a version has room for about 90 MB, and \`tideway serve\` takes larger ones`
    throw cloudErrors.REGISTER_ORDER_INVALID({ issues: [issue] }, error)
  }
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
