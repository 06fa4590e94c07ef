import type { Numbers } from './assembler.js'
import type { RowsArray } from './augment/augmenter.js'

/** Parts that a worker may be ahead: one being copied, one ready, one being made. */
const SLOTS = 3

/** Words of the control block: parts made, parts taken, and whether the taker waits for a message. */
const MADE = 0
const TAKEN = 1
const WAITING = 2

type ArrayName = 'Float32Array' | 'Uint8Array' | 'Int32Array'
const CLASSES: { readonly [Name in ArrayName]: new (buffer: SharedArrayBuffer) => Numbers } = {
  Float32Array,
  Uint8Array,
  Int32Array,
}

/** Memory that both threads see. */
export interface RingMemory {
  readonly control: SharedArrayBuffer
  readonly inputs: SharedArrayBuffer
  readonly targets: SharedArrayBuffer
  readonly types: { readonly inputs: ArrayName; readonly targets: ArrayName }
}

/** Values of the largest part. */
export interface PartSize {
  readonly inputs: number
  readonly targets: number
}

export function ringMemory(inputs: Numbers, targets: Numbers, size: PartSize): RingMemory {
  return {
    control: new SharedArrayBuffer(3 * Int32Array.BYTES_PER_ELEMENT),
    inputs: new SharedArrayBuffer(SLOTS * size.inputs * inputs.BYTES_PER_ELEMENT),
    targets: new SharedArrayBuffer(SLOTS * size.targets * targets.BYTES_PER_ELEMENT),
    types: { inputs: nameOf(inputs), targets: nameOf(targets) },
  }
}

/** A queue of parts from one worker to the main thread. A part is handed over by one atomic word, without a message. */
export class Ring {
  private readonly control: Int32Array
  private readonly slots: readonly { readonly inputs: RowsArray; readonly targets: Numbers }[]

  constructor({ control, inputs, targets, types }: RingMemory) {
    this.control = new Int32Array(control)
    const [rows, aims] = [new CLASSES[types.inputs](inputs), new CLASSES[types.targets](targets)]
    this.slots = Array.from({ length: SLOTS }, (_, slot) => ({
      inputs: slice(rows, slot) as RowsArray,
      targets: slice(aims, slot),
    }))
  }

  /** The worker's side: waits for a free slot. */
  free(): (typeof this.slots)[number] {
    const made = Atomics.load(this.control, MADE)
    for (;;) {
      const taken = Atomics.load(this.control, TAKEN)
      if (((made - taken) | 0) < SLOTS) return this.slot(made)
      Atomics.wait(this.control, TAKEN, taken)
    }
  }

  /** The slot that was free is filled; true if the taker waits for word of it. */
  made(): boolean {
    Atomics.add(this.control, MADE, 1)
    return Atomics.exchange(this.control, WAITING, 0) === 1
  }

  /** The main thread's side: the oldest part, if there is one. */
  oldest(): (typeof this.slots)[number] | undefined {
    const taken = Atomics.load(this.control, TAKEN)
    return Atomics.load(this.control, MADE) === taken ? undefined : this.slot(taken)
  }

  /** Asks for a message when the next part is made; one made meanwhile is seen by `oldest` afterwards. */
  ask(): void {
    Atomics.store(this.control, WAITING, 1)
  }

  /** The oldest part was used: its slot is free. */
  taken(): void {
    Atomics.add(this.control, TAKEN, 1)
    Atomics.notify(this.control, TAKEN)
  }

  private slot(count: number): (typeof this.slots)[number] {
    // A count beyond 2^31 goes on below 0.
    return this.slots[(count >>> 0) % SLOTS] as (typeof this.slots)[number]
  }
}

function slice<A extends Numbers>(all: A, slot: number): A {
  const length = all.length / SLOTS
  return all.subarray(slot * length, (slot + 1) * length) as A
}

function nameOf(numbers: Numbers): ArrayName {
  return numbers instanceof Uint8Array ? 'Uint8Array' : numbers instanceof Int32Array ? 'Int32Array' : 'Float32Array'
}

/** The same numbers where other threads see them: as they are if they are there already, else copied once. */
export function shared<A extends Numbers>(numbers: A): A {
  if (numbers.buffer instanceof SharedArrayBuffer) return numbers
  const copy = new CLASSES[nameOf(numbers)](new SharedArrayBuffer(numbers.byteLength))
  copy.set(numbers)
  return copy as A
}
