#!/usr/bin/env node
import { codeOf } from '@tideway/core'
import { Command } from 'commander'
import { type RunFlags, run } from './cli/run.js'

const EXAMPLES = `
Examples:
  An agent for the cloud on this machine (MQTT and HTTP):
    $ tideway-edge run --device press-1 --fleet plant-7 --cloud http://127.0.0.1:4400

  Over NATS, with a door for other programs on the device:
    $ tideway-edge run --device press-1 --fleet plant-7 --nats nats://127.0.0.1:4222 --listen 127.0.0.1:8600
    $ curl http://127.0.0.1:8600/v1/status
    $ curl http://127.0.0.1:8600/v2/models/digits/infer -d \\
        '{"inputs":[{"name":"image","datatype":"FP32","shape":[1,784],"data":[0,0.5,...]}]}'

What it does:
  It takes the desired state of its device (or of its fleet), fetches only the chunks that are not in DIR, verifies
  them, runs the known answers, and switches without failing a request. It reports what it runs and a statistical
  summary of what it saw; no input leaves the device. Stop it with Ctrl-C: what was not acknowledged stays in DIR.
  The first device of a fleet needs a version: tideway deploy MODEL:VERSION --fleet FLEET
`

const program = new Command('tideway-edge').description('The Tideway edge agent').showHelpAfterError()
program
  .command('run')
  .description('Run the agent until it is stopped')
  .requiredOption('--device <id>', 'this device: 1 to 63 of a-z, 0-9, _ and -')
  .requiredOption('--fleet <id>', 'the fleet that it belongs to')
  .option('--cloud <url>', 'the cloud: MQTT and HTTP (needs @tideway/transport-mqtt)')
  .option('--nats <url>', 'a NATS server instead (needs @tideway/transport-nats)')
  .option('--dir <dir>', 'its own folder (default: ~/.tideway/edge/FLEET/DEVICE)')
  .option('--listen <host:port>', 'serve inference on loopback (Open Inference Protocol v2; port 0: any free one)')
  .option('--report-every <seconds>', 'how often a summary is sealed and sent', '60')
  .option('--threads <n>', 'threads of one inference', '1')
  .option('--runtime <name>', 'onnx, or tfjs (needs @tideway/runtime-tfjs): the variants that it takes', 'onnx')
  .option('--json', 'one JSON line on stdout for every change, and logs as JSON on stderr')
  .addHelpText('after', EXAMPLES)
  .action(async (flags: RunFlags) => {
    await run(flags)
  })

try {
  await program.parseAsync()
  // A library may leave a handle open; everything of ours has been closed and kept.
  process.exit(0)
} catch (error) {
  const code = codeOf(error)
  process.stderr.write(
    `${code === undefined ? String(error instanceof Error ? error.stack : error) : `${code}: ${String((error as Error).message)}`}\n`,
  )
  process.exit(1)
}
