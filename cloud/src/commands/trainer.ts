import { type Command, InvalidArgumentError } from 'commander'
import type { TrainerOptions } from '../trainer/run.js'
import { PROVIDERS_HELP, parseNames } from './providers.js'

export function addTrainer(command: Command): void {
  command
    .requiredOption('--nats <url>', 'NATS server with JetStream that holds the queue')
    .requiredOption('--cloud <url>', 'URL of the cloud, for data, checkpoints and registration')
    .option('--name <name>', 'name of this node (default: host name and process id)')
    .option(
      '--ack-wait <seconds>',
      'silence after which another node takes the job; the same on every node',
      // Below two seconds a busy machine is taken for a dead one.
      parseSeconds(2, 3_600),
      30,
    )
    .option('--checkpoint-every <seconds>', 'least time between two checkpoints', parseSeconds(0, 86_400), 2)
    .option('--provider <names>', PROVIDERS_HELP, parseNames)
    .option('--json', 'say that it is ready as one JSON line')
    .addHelpText('after', '\nExample:\n  $ tideway trainer --nats nats://10.0.0.5:4222 --cloud http://10.0.0.5:4400')
    .action(async (options: TrainerOptions) => {
      // The engine is loaded where it is used, not by every command.
      const { runTrainer } = await import('../trainer/run.js')
      await runTrainer(options)
    })
}

function parseSeconds(least: number, most: number) {
  return (text: string): number => {
    const seconds = Number(text)
    if (text.trim() === '' || !(seconds >= least && seconds <= most))
      throw new InvalidArgumentError(`${least} to ${most} seconds`)
    return seconds
  }
}
