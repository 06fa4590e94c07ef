#!/usr/bin/env node
import { HOST_VERSION } from '@tideway/core'
import { Command } from 'commander'
import { addAb } from './commands/ab.js'
import { addAudit } from './commands/audit.js'
import { addDoctor } from './commands/doctor.js'
import { addDown } from './commands/down.js'
import { addFinetune } from './commands/finetune.js'
import { addFleet } from './commands/fleet.js'
import { addJobs } from './commands/jobs.js'
import { addKeys } from './commands/keys.js'
import { addPredict } from './commands/predict.js'
import { addQuantize } from './commands/quantize.js'
import { addQuickstart } from './commands/quickstart.js'
import { addTraffic } from './commands/traffic.js'
import { addTrain } from './commands/train.js'
import { addTrainer } from './commands/trainer.js'
import { addUp } from './commands/up.js'
import { fail } from './view/output.js'

const program = new Command('tideway')
  .description('Train models in the cloud, run them at the edge, bring drift back.')
  .version(HOST_VERSION)
  .showHelpAfterError('(see --help)')
  .addHelpText(
    'after',
    `
Start here:
  $ tideway quickstart          the whole loop on real handwritten digits, in about half a minute
  $ tideway up                  run the cloud; then, in another terminal:
  $ tideway train <pipeline>    make a version
  $ tideway deploy m:latest --fleet f
  $ tideway doctor              what this machine can do
  $ tideway devices             and \`tideway drift\`: watch the fleet`,
  )

addQuickstart(program)
addUp(program)
addDown(program)
addTrain(program)
addFinetune(program)
addQuantize(program)
addPredict(program)
addTrainer(program)
addJobs(program)
addFleet(program)
addTraffic(program)
addAb(program)
addKeys(program)
addAudit(program)
addDoctor(program)

try {
  await program.parseAsync()
} catch (error) {
  fail(error, process.argv.includes('--json'))
}
