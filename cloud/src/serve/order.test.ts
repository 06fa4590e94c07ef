import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryFolder } from '@tideway/test/support/folder'
import { describe, expect, it } from 'vitest'
import { orderOf } from './order.js'

const issuesOf = (refused: Promise<unknown>): Promise<readonly string[]> =>
  refused.then(
    () => [],
    (error: { code: string; data: { issues: readonly string[] } }) => {
      expect(error.code).toBe('SERVE_ORDER_INVALID')
      return error.data.issues
    },
  )

describe('an order to serve files', () => {
  it('names each model as its file is called, or as the argument says', async ({ onTestFinished }) => {
    const folder = await temporaryFolder(onTestFinished)
    const file = async (name: string) => {
      await writeFile(join(folder, name), 'bytes')
      return join(folder, name)
    }
    const [digits, loud, equals] = [await file('digits.onnx'), await file('PUMP.ONNX'), await file('a=b.onnx')]
    const { files } = await orderOf([digits, `pump=${loud}`, `both=${equals}`], {})
    expect(files).toEqual([
      { model: 'digits', file: digits },
      { model: 'pump', file: loud },
      { model: 'both', file: equals },
    ])
  })

  it('hands on what it says of the server, and nothing that it does not say', async ({ onTestFinished }) => {
    const file = join(await temporaryFolder(onTestFinished), 'm.onnx')
    await writeFile(file, 'bytes')
    const given = async (options: Parameters<typeof orderOf>[1]) => (await orderOf([file], options)).given
    expect(await given({ host: '::1', port: '0', threads: '2', maxBatchRows: '64', maxDelayMs: '5' })).toEqual({
      http: { host: '::1', port: 0 },
      serving: { threads: 2, maxBatchRows: 64, maxDelayMs: 5 },
    })
    expect(await given({ host: '::1', grpc: '8001' })).toMatchObject({ grpc: { host: '::1', port: 8001 } })
    expect(JSON.stringify(await given({}))).toBe('{"http":{},"serving":{}}')
  })

  it('is refused with where a file was looked for, which is seldom where it was meant to be', async () => {
    const [issue] = await issuesOf(orderOf(['gone.onnx'], {}))
    expect(issue).toBe(`gone.onnx: there is no such file (${join(process.cwd(), 'gone.onnx')})`)
  })

  it('is refused with everything that is wrong with it', async ({ onTestFinished }) => {
    const folder = await temporaryFolder(onTestFinished)
    const at = (name: string) => join(folder, name)
    await writeFile(at('fine.onnx'), 'bytes')
    await writeFile(at('empty.onnx'), '')
    await mkdir(at('folder'))
    const files = ['fine.onnx', 'empty.onnx', 'Net 7.onnx', 'folder', 'gone.onnx'].map(at)
    const issues = await issuesOf(
      orderOf([...files, `fine=${at('other.onnx')}`], {
        host: ' ',
        port: '65536',
        grpc: 'no',
        threads: '0',
        maxDelayMs: '-1',
        maxBatchRows: '',
      }),
    )
    expect(issues).toHaveLength(13)
    for (const [file, said] of [
      ['Net 7.onnx', 'write NAME='],
      ['empty.onnx', 'it is empty'],
      ['folder', 'it is no file'],
      ['gone.onnx', 'there is no such file'],
      ['other.onnx', 'has the name fine already: write NAME='],
    ] as const)
      expect(issues).toContainEqual(expect.stringMatching(new RegExp(`${file}: .*${said}`)))
    for (const option of [
      '--host',
      '--port 65536',
      '--grpc no',
      '--threads 0',
      '--max-delay-ms -1',
      '--max-batch-rows',
    ])
      expect(issues).toContainEqual(expect.stringContaining(option))
  })
})
