import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Client } from '@tideway/client'
import { temporaryFolder } from '@tideway/test/support/folder'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { PipelineResult } from '../pipeline/run.js'
import { steps } from '../view/steps.js'
import { keepReport } from './train.js'

const cleans: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const clean of cleans.splice(0)) await clean()
})

const client = { getBlob: async (name: string) => new TextEncoder().encode(name) } as Partial<Client> as Client
const withReport = { report: { json: 'as json', html: 'as page' } } as PipelineResult

describe('the report of a job', () => {
  it('is written as each file ends, and as a page with a word to it where a file ends otherwise', async () => {
    const folder = await temporaryFolder((clean) => void cleans.push(clean))
    const said = vi.spyOn(steps, 'say').mockReturnValue()
    const [json, html, other] = ['a.JSON', 'a.html', 'a.pdf'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ]
    await keepReport(client, withReport, [json, html, other])
    const texts = await Promise.all([json, html, other].map((path) => readFile(path, 'utf8')))
    expect(texts).toEqual(['as json', 'as page', 'as page'])
    expect(said.mock.calls).toEqual([[`--report ${other}: neither .html nor .json, written as HTML`]])
  })

  it('that is not there is said where one was asked for, and else nothing', async () => {
    const said = vi.spyOn(steps, 'say').mockReturnValue()
    await keepReport(client, {} as PipelineResult, ['a.html'])
    await keepReport(client, {} as PipelineResult)
    expect(said.mock.calls).toEqual([['--report a.html: not written, the job has no report of quantizing']])
  })
})
