import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { WrittenColumn } from '@tideway/data-files'
import { cloudErrors } from '../errors.js'
import { writeWhole } from '../quantize/write.js'

/** What the parts that are there were made from: with anything else they would not belong together. */
export interface Identity {
  readonly v: 1
  readonly input: { readonly bytes: number; readonly modifiedMs: number }
  /** Digest of the model's file or of the version's manifest. */
  readonly model: string
  readonly options: Readonly<Record<string, unknown>>
}

/** A part: what came of so many rows of the file, however many of these were answered. */
export interface PartFiles {
  readonly answers: Uint8Array
  /** JSON lines, of the rows that were left out. */
  readonly skipped: string
}

const IDENTITY = 'journal.json'
const COLUMNS = 'columns.json'
const SKIPPED = '.skipped.jsonl'

/**
 * The folder beside an output in which its parts wait until all are there. A part is written under another name, flushed and
 * renamed: one that has its name is whole. So what is done is known from the names alone, whenever the process was killed.
 */
export class Journal {
  readonly #folder: string
  readonly #output: string
  readonly #extension: string
  #done = 0

  private constructor(output: string, extension: string) {
    this.#output = output
    this.#extension = extension
    this.#folder = folderOf(output)
  }

  /**
   * Opens the journal of an output, or begins one. Throws `PREDICT_RESUME_REFUSED` where the one that is there is of something
   * else, `PREDICT_OUTPUT_EXISTS`.
   */
  static async open(output: string, extension: string, identity: Identity, restart: boolean): Promise<Journal> {
    const journal = new Journal(output, extension)
    const folder = folderOf(output)
    await rm(`${folder}.done`, { recursive: true, force: true })
    if (restart) await rm(folder, { recursive: true, force: true })
    const before = await read<Identity>(join(folder, IDENTITY))
    if (before === undefined) {
      if (!restart && (await exists(output))) throw cloudErrors.PREDICT_OUTPUT_EXISTS({ output })
      await rm(folder, { recursive: true, force: true })
      await mkdir(folder, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
        throw cloudErrors.FILE_NOT_WRITTEN({ file: folder, reason: cause.code ?? 'it cannot be made' }, cause)
      })
      await writeWhole(join(folder, IDENTITY), `${JSON.stringify(identity, null, 2)}\n`)
      return journal
    }
    const changed = differences(before, identity)
    if (changed.length > 0) throw cloudErrors.PREDICT_RESUME_REFUSED({ output, changed })
    await journal.#count()
    return journal
  }

  /** Parts that are there. */
  get done(): number {
    return this.#done
  }

  /** The columns of the answer, where the first rows have been answered. */
  columns(): Promise<readonly WrittenColumn[] | undefined> {
    return read(join(this.#folder, COLUMNS))
  }

  async writeColumns(columns: readonly WrittenColumn[]): Promise<void> {
    await writeWhole(join(this.#folder, COLUMNS), JSON.stringify(columns))
  }

  /** The answers' file last: when it is there, all of the part is. */
  async writePart({ answers, skipped }: PartFiles): Promise<void> {
    if (skipped !== '') await writeWhole(this.#path(this.#done, SKIPPED), skipped)
    await writeWhole(this.#path(this.#done, this.#extension), answers)
    await syncFolder(this.#folder)
    this.#done++
  }

  /** The parts' files in order. */
  parts(): readonly string[] {
    return Array.from({ length: this.#done }, (_, at) => this.#path(at, this.#extension))
  }

  async skippedParts(): Promise<readonly string[]> {
    const there = new Set(await readdir(this.#folder))
    const all = Array.from({ length: this.#done }, (_, at) => this.#path(at, SKIPPED))
    return all.filter((path) => there.has(basename(path)))
  }

  /** Rows that were left out so far. */
  async skippedRows(): Promise<number> {
    let rows = 0
    for (const part of await this.skippedParts()) rows += (await readFile(part, 'utf8')).split('\n').length - 1
    return rows
  }

  /** Removes the journal once the output is there. */
  async end(): Promise<void> {
    // In one step, so that what a kill leaves is no journal of half of the parts.
    await rename(this.#folder, `${this.#folder}.done`)
    await syncFolder(dirname(this.#output))
    await rm(`${this.#folder}.done`, { recursive: true, force: true })
  }

  async #count(): Promise<void> {
    const there = new Set(await readdir(this.#folder))
    while (there.has(basename(this.#path(this.#done, this.#extension)))) this.#done++
  }

  #path(part: number, extension: string): string {
    return join(this.#folder, `${String(part).padStart(8, '0')}${extension}`)
  }
}

function folderOf(output: string): string {
  return join(dirname(output), `.${basename(output)}.predict`)
}

function differences(before: Identity, now: Identity): string[] {
  const changed: string[] = []
  if (before.v !== now.v) changed.push('the journal is of another version of tideway')
  if (before.input.bytes !== now.input.bytes)
    changed.push(`the input has ${now.input.bytes} bytes, and had ${before.input.bytes}`)
  else if (before.input.modifiedMs !== now.input.modifiedMs) changed.push('the input was written since')
  if (before.model !== now.model)
    changed.push(`the model is ${now.model.slice(0, 12)}, and was ${before.model.slice(0, 12)}`)
  for (const name of new Set([...Object.keys(before.options), ...Object.keys(now.options)])) {
    const [was, is] = [JSON.stringify(before.options[name]), JSON.stringify(now.options[name])]
    if (was !== is) changed.push(`${name} is ${is ?? 'not given'}, and was ${was ?? 'not given'}`)
  }
  return changed
}

async function read<T>(file: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as T
  } catch {
    // It is written whole or not at all: what cannot be read is not there.
    return undefined
  }
}

async function exists(file: string): Promise<boolean> {
  const handle = await open(file).catch(() => undefined)
  await handle?.close()
  return handle !== undefined
}

/** So that names survive a power cut; Windows has no such thing. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder).catch(() => undefined)
  await handle?.sync().catch(() => undefined)
  await handle?.close()
}
