import { EventEmitter } from 'node:events'
import { errors } from '@tideway/core'
import { beforeEach, describe, expect, it } from 'vitest'
import { Channel, type Port } from './channel.js'

/** One end of a pipe within this process: what is sent is copied as between processes. */
class End extends EventEmitter implements Port {
  other: End | undefined

  /** As Node does it, which tells of what could not be sent whoever wants to know, or makes it an error. */
  ended = false

  send(message: unknown, sent?: (error: Error | null) => void): boolean {
    if (this.ended) {
      const error = new Error('write EPIPE')
      setImmediate(() => (sent ? sent(error) : this.emit('error', error)))
      return false
    }
    const copy: unknown = structuredClone(message)
    setImmediate(() => this.other?.emit('message', copy))
    return true
  }
}

interface Store {
  double(bytes: Float32Array): Promise<Float32Array>
  find(name: string): Promise<string>
  onChange(listener: () => void): string
}

let ends: [End, End]
let [here, there]: Channel[] = []

beforeEach(() => {
  ends = [new End(), new End()]
  ends[0].other = ends[1]
  ends[1].other = ends[0]
  here = new Channel(ends[0])
  there = new Channel(ends[1])
})

const store = () => (here as Channel).remote<Store>('store')

describe("the other process's object", () => {
  it('is called as if it were here, with typed arrays as they are', async () => {
    there?.expose('store', { double: async (values: Float32Array) => values.map((value) => 2 * value) })
    expect(await store().double(Float32Array.of(1, 2.5))).toEqual(Float32Array.of(2, 5))
  })

  it('keeps its own state: methods are called on it', async () => {
    class Counter {
      #count = 0
      find(): string {
        return String(++this.#count)
      }
    }
    there?.expose('store', new Counter())
    expect([await store().find('a'), await store().find('b')]).toEqual(['1', '2'])
  })

  it('answers calls in the order in which it is done, each its caller', async () => {
    const done: string[] = []
    const release: Record<string, () => void> = {}
    there?.expose('store', {
      find: (name: string) =>
        new Promise<string>((resolve) => {
          release[name] = () => resolve(name.toUpperCase())
        }),
    })
    const calls = ['a', 'b'].map(async (name) => {
      const answer = await store().find(name)
      done.push(answer)
    })
    await new Promise((resolve) => setImmediate(resolve))
    await new Promise((resolve) => setImmediate(resolve))
    release['b']?.()
    await calls[1]
    release['a']?.()
    await calls[0]
    expect(done).toEqual(['B', 'A'])
  })

  it('has methods of this process where they are given', async () => {
    there?.expose('store', { find: async () => 'there' })
    const mixed = (here as Channel).remote<Store>('store', { onChange: () => 'here' })
    expect(mixed.onChange(() => undefined)).toBe('here')
    expect(await mixed.find('x')).toBe('there')
  })

  it('is no promise, whoever awaits it', async () => {
    there?.expose('store', { find: async (name: string) => name })
    const awaited = await Promise.resolve(store())
    expect(await awaited.find('x')).toBe('x')
  })
})

describe('an error of a call', () => {
  it('keeps its code, status and data', async () => {
    there?.expose('store', {
      find: async (model: string) => {
        throw errors.MODEL_NOT_FOUND({ model })
      },
    })
    const { code, status, data, message } = errors.MODEL_NOT_FOUND({ model: 'x' })
    await expect(store().find('x')).rejects.toMatchObject({ name: 'TidewayError', code, status, data, message })
  })

  it('of something else is told by its message', async () => {
    there?.expose('store', {
      find: () => {
        throw new RangeError('too far')
      },
    })
    await expect(store().find('x')).rejects.toThrow('too far')
  })

  it.each(['nothing', 'find'])('says what the other process lacks: %s', async (method) => {
    await expect((here as Channel).call('store', method, [])).rejects.toThrow(`store.${method}`)
  })
})

describe('a pipe that ends', () => {
  it('rejects what waits and what comes after', async () => {
    there?.expose('store', { find: () => new Promise(() => undefined) })
    const waiting = store().find('x')
    ends[0].emit('disconnect')
    await expect(waiting).rejects.toMatchObject({ code: 'SERVING_PROCESS_ENDED' })
    await expect(store().find('x')).rejects.toMatchObject({ code: 'SERVING_PROCESS_ENDED' })
  })
})

it('is no error of this process that the other one has ended, before it is heard of', async () => {
  ends[0].ended = true
  here?.tell('changed', 'digits')
  const waiting = store().find('x')
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  ends[0].emit('disconnect')
  await expect(waiting).rejects.toMatchObject({ code: 'SERVING_PROCESS_ENDED' })
})

it('tells events to who listens, and nothing to who does not', async () => {
  const heard: unknown[] = []
  there?.on('changed', (value) => heard.push(value))
  here?.tell('other', 1)
  here?.tell('changed', 'digits')
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  expect(heard).toEqual(['digits'])
})
