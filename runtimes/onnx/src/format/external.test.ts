import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { create } from '@bufbuild/protobuf'
import { codeOf, type Tensor } from '@tideway/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TensorDataSchema } from '../generated/onnx_pb.js'
import { readModelFile } from './external.js'
import { productModel } from './format.fixture.js'
import { findInitializer, graphOf } from './node.js'
import { readModel } from './read.js'
import { toTensor } from './tensor.js'
import { writeModel } from './write.js'

const weights: Tensor = { dtype: 'float32', shape: [2, 3], data: Float32Array.from([1, 2, 3, 4, 5, 6]) }
let top: string
let folder: string
beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 'tideway-external-'))
  folder = join(top, 'model')
  await mkdir(folder)
  const values = new Uint8Array(weights.data.buffer as ArrayBuffer)
  await writeFile(join(folder, 'w.data'), Buffer.concat([new Uint8Array(8), values]))
  await writeFile(join(top, 'secret.data'), Buffer.concat([new Uint8Array(8), values]))
  await symlink(join(top, 'secret.data'), join(folder, 'link.data'))
})
afterAll(() => rm(top, { recursive: true }))

/** The model with its weights said to be elsewhere. */
function outside(entries: Readonly<Record<string, string>>, dims: readonly number[] = [2, 3], copies = 1): Uint8Array {
  const model = productModel(weights)
  graphOf(model).initializer = Array.from({ length: copies }, (_, at) =>
    create(TensorDataSchema, {
      name: at === 0 ? 'w' : `w${at}`,
      dataType: 1,
      dims: dims.map(BigInt),
      dataLocation: 1,
      externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
    }),
  )
  return writeModel(model)
}

const reasonOf = async (bytes: Uint8Array, maxBytes?: number): Promise<unknown> => {
  try {
    await readModelFile(bytes, { folder, ...(maxBytes === undefined ? {} : { maxBytes }) })
  } catch (error) {
    return [codeOf(error), String((error as { data: { issues: string[] } }).data.issues)]
  }
  return undefined
}

describe('tensors in files beside a model', () => {
  it('are read into the model, which is then one file', async () => {
    const bytes = outside({ location: 'w.data', offset: '8', length: '24' })
    const model = await readModelFile(bytes, { folder })
    expect(toTensor(findInitializer(graphOf(model), 'w')!)).toEqual(weights)
    expect(toTensor(findInitializer(graphOf(readModel(writeModel(model))), 'w')!)).toEqual(weights)
  })

  it('of a model without any are nothing to read', async () => {
    const bytes = writeModel(productModel(weights))
    expect(writeModel(await readModelFile(bytes, { folder: '/nowhere' }))).toEqual(bytes)
  })

  it('at the same place share their bytes', async () => {
    const model = await readModelFile(outside({ location: 'w.data', offset: '8' }, [2, 3], 100), { folder })
    const buffers = new Set(graphOf(model).initializer.map(({ rawData }) => rawData?.buffer))
    expect(buffers.size).toBe(1)
  })

  const refused: Readonly<Record<string, [Readonly<Record<string, string>>, string, number[]?]>> = {
    'an absolute path': [{ location: '/etc/passwd' }, 'absolute'],
    'a drive': [{ location: 'C:w.data' }, 'absolute or foreign'],
    'a path up': [{ location: '../secret.data', offset: '8' }, 'outside its folder'],
    'a path down and up': [{ location: 'a/../../secret.data', offset: '8' }, 'outside its folder'],
    backslashes: [{ location: '..\\secret.data' }, 'absolute or foreign'],
    'a link that leads out': [{ location: 'link.data', offset: '8' }, "outside the model's folder"],
    'a folder': [{ location: '.', offset: '8' }, 'folder'],
    'a file that is not there': [{ location: 'x.data' }, 'ENOENT'],
    'no location': [{ offset: '8' }, 'names no file'],
    'another length than the shape says': [{ location: 'w.data', length: '8' }, 'its shape says 24'],
    'an offset beyond the end': [{ location: 'w.data', offset: '9' }, 'beyond the end'],
    'an offset that is no number': [{ location: 'w.data', offset: '-8' }, 'whole number'],
    'a huge offset': [{ location: 'w.data', offset: '99999999999999999999' }, 'whole number'],
    'a huge shape': [{ location: 'w.data' }, 'no file holds', [2 ** 40, 2 ** 40]],
    'a shape larger than the file': [{ location: 'w.data' }, 'beyond the end', [2 ** 20]],
  }
  for (const [title, [entries, reason, dims]] of Object.entries(refused)) {
    it(`are refused for ${title}`, async () => {
      expect(await reasonOf(outside(entries, dims))).toEqual(['EXTERNAL_DATA_INVALID', expect.stringContaining(reason)])
    })
  }

  it('are refused beyond the limit, before anything is read', async () => {
    expect(await reasonOf(outside({ location: 'w.data' }, [6]), 23)).toEqual([
      'EXTERNAL_DATA_INVALID',
      expect.stringContaining('limit is 23'),
    ])
  })
})
