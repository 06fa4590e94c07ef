import { errors } from '@tideway/core'
import { describe, expect, it } from 'vitest'
import { cloudErrors } from '../errors.js'
import { ServingGroup, type ServingProcess } from './group.js'

/** Notes what it is told; `meanwhile` happens while it does that for the first time. */
function processThat(meanwhile: () => Promise<void> = async () => undefined) {
  const told: string[] = []
  const note = async (what: string, model: string) => {
    if (model === 'none') throw errors.MODEL_NOT_FOUND({ model })
    if (told.push(`${what} ${model}`) === 1) await meanwhile()
  }
  return { told, load: (model: string) => note('load', model), unload: (model: string) => note('unload', model) }
}

function groupOf(...processes: readonly Pick<ServingProcess, 'load' | 'unload'>[]): ServingGroup {
  return new ServingGroup(() => processes as readonly ServingProcess[])
}

describe('a process that comes later', () => {
  it('unloads what is unloaded in the others, and was not loaded again', async () => {
    const group = groupOf(processThat())
    for (const model of ['a', 'b', 'c']) await group.unload(model)
    await group.load('b')
    const late = processThat()
    await group.catchUp(late)
    expect(late.told).toEqual(['unload a', 'unload c'])
  })

  it('follows what is unloaded and loaded while it does so', async () => {
    const group = groupOf(processThat())
    await group.unload('a')
    const late = processThat(async () => {
      await group.load('a')
      await group.unload('b')
    })
    await group.catchUp(late)
    expect(late.told).toEqual(['unload a', 'unload b', 'load a'])
  })

  it('knows nothing of what could not be unloaded, and of what could not be loaded that it stays unloaded', async () => {
    const group = groupOf({
      ...processThat(),
      load: (model) => Promise.reject(errors.MODEL_INVALID({ reason: model })),
    })
    await expect(group.unload('none')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
    await group.unload('a')
    await expect(group.load('a')).rejects.toMatchObject({ code: 'MODEL_INVALID' })
    const late = processThat()
    await group.catchUp(late)
    expect(late.told).toEqual(['unload a'])
  })

  it('is taken though a model is not there any more, and not when it ends', async () => {
    const group = groupOf(processThat())
    await group.unload('a')
    await group.catchUp({ ...processThat(), unload: (model) => Promise.reject(errors.MODEL_NOT_FOUND({ model })) })
    const ended = { ...processThat(), unload: () => Promise.reject(cloudErrors.SERVING_PROCESS_ENDED({})) }
    await expect(group.catchUp(ended)).rejects.toMatchObject({ code: 'SERVING_PROCESS_ENDED' })
  })
})
