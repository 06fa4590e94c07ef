import type { Command } from 'commander'
import { stopAll } from '../quickstart/processes.js'
import { print } from '../view/print.js'
import { steps } from '../view/steps.js'

export function addDown(command: Command): void {
  command
    .option('--dir <dir>', 'directory of the cloud process', '.tideway')
    .option('--json', 'print one JSON document')
    .action(async ({ dir, json }: { dir: string; json?: boolean }) => {
      const stopped = await steps.waiting('stopping', () => stopAll(dir))
      const lines = stopped.map(({ name, pid }) => `stopped ${name} (process ${pid})`)
      print(json, { stopped }, () => lines.join('\n') || `nothing runs in ${dir}`)
    })
}
