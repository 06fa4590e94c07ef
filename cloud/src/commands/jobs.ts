import type { Command } from 'commander'
import { progressOf } from '../view/job-progress.js'
import { table } from '../view/output.js'
import { print } from '../view/print.js'
import { type ClientOptions, connect, withClient } from './context.js'

export function addJobs(command: Command): void {
  withClient(command).action(async (options: ClientOptions) => {
    const jobs = await (await connect(options)).jobs()
    const rows = jobs.map((job) => {
      const { id, model, status, worker, error, createdAt } = job
      return [
        id.slice(0, 12),
        model,
        error ? `${status} (${error.code})` : status,
        progressOf(job).stage,
        worker ?? '-',
        createdAt,
      ]
    })
    print(options.json, { jobs }, () => table(['job', 'model', 'status', 'stage', 'worker', 'created'], rows))
  })
}
