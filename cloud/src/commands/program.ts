import { HOST_VERSION } from '@tideway/core/version'
import { Command } from 'commander'

/** A command as it is listed, and what adds its options and its action. */
interface Listed {
  /** Name and arguments. */
  readonly usage: string
  readonly description: string
  readonly load: () => Promise<(command: Command) => void>
}

/** In the order of the help. */
const commands: readonly Listed[] = [
  {
    usage: 'quickstart',
    description: 'the whole loop on real data: train, quantize, publish, infer on devices, find the one that drifts',
    load: async () => (await import('./quickstart.js')).addQuickstart,
  },
  {
    usage: 'serve <[name=]file.onnx...>',
    description: 'answer inference requests for ONNX files over HTTP, from this process alone',
    load: async () => (await import('./serve.js')).addServe,
  },
  {
    usage: 'up',
    description: 'run the cloud in the foreground: HTTP API, monitor, controller, trainer',
    load: async () => (await import('./up.js')).addUp,
  },
  {
    usage: 'down',
    description: 'stop the cloud, and what `quickstart --keep` left running, in a directory',
    load: async () => (await import('./down.js')).addDown,
  },
  {
    usage: 'train <pipeline>',
    description: 'run a pipeline: load data, train, quantize, check the gates, register a version',
    load: async () => (await import('./train.js')).addTrain,
  },
  {
    usage: 'finetune <model.onnx>',
    description: 'train an ONNX model further on your data, quantize it, check the gates, register a version',
    load: async () => (await import('./finetune.js')).addFinetune,
  },
  {
    usage: 'quantize <model.onnx>',
    description: 'make an ONNX file smaller, on this machine and without a cloud, and say what that costs',
    load: async () => (await import('./quantize.js')).addQuantize,
  },
  {
    usage: 'register <[name=]model.onnx...>',
    description: 'register ONNX files as they are as a version: forms of one model, float and quantized',
    load: async () => (await import('./register.js')).addRegister,
  },
  {
    usage: 'predict <model>',
    description: 'answer the rows of a file: by a model file on this machine, or by MODEL[:VERSION] in a cloud',
    load: async () => (await import('./predict.js')).addPredict,
  },
  {
    usage: 'trainer',
    description: 'run a training node: takes jobs from the queue on NATS, publishes what it trained to the cloud',
    load: async () => (await import('./trainer.js')).addTrainer,
  },
  {
    usage: 'jobs',
    description: 'list training jobs, newest first',
    load: async () => (await import('./jobs.js')).addJobs,
  },
  {
    usage: 'models',
    description: 'list models with their versions and aliases',
    load: async () => (await import('./fleet.js')).addModels,
  },
  {
    usage: 'deploy <model:version>',
    description: 'move a fleet, or some of its devices, to a version',
    load: async () => (await import('./fleet.js')).addDeploy,
  },
  {
    usage: 'devices',
    description: 'list devices and what they say that they run',
    load: async () => (await import('./fleet.js')).addDevices,
  },
  {
    usage: 'drift',
    description: 'show what the monitor found: each device and fleet against the version’s baseline',
    load: async () => (await import('./fleet.js')).addDrift,
  },
  {
    usage: 'traffic',
    description: 'which version of a model answers in the cloud',
    load: async () => (await import('./traffic.js')).addTraffic,
  },
  {
    usage: 'ab',
    description: 'A/B tests between two versions of a model, which may be looked at any time',
    load: async () => (await import('./ab.js')).addAb,
  },
  {
    usage: 'keys',
    description: 'API keys: who may ask the cloud, and for what',
    load: async () => (await import('./keys.js')).addKeys,
  },
  {
    usage: 'audit',
    description: 'list what was changed, by whom and from where, newest first',
    load: async () => (await import('./audit.js')).addAudit,
  },
  {
    usage: 'doctor',
    description: 'what this machine can do: engines and providers, each tried, and how to get what is missing',
    load: async () => (await import('./doctor.js')).addDoctor,
  },
]

const START_HERE = `
Start here:
  $ tideway quickstart          the whole loop on real handwritten digits, in about half a minute
  $ tideway serve model.onnx    answer requests for a model of yours over HTTP
  $ tideway up                  run the cloud; then, in another terminal:
  $ tideway train <pipeline>    make a version
  $ tideway deploy m:latest --fleet f
  $ tideway doctor              what this machine can do
  $ tideway devices             and \`tideway drift\`: watch the fleet`

/**
 * The `tideway` command. All of its commands are listed, and the one that `args` ask for is loaded, whole: what another one
 * needs would take half a second.
 */
export async function createProgram(args: readonly string[]): Promise<Command> {
  const program = new Command('tideway')
    .description('Train models in the cloud, run them at the edge, bring drift back.')
    .version(HOST_VERSION)
    .showHelpAfterError('(see --help)')
    .addHelpText('after', START_HERE)
  const asked = askedFor(args)
  for (const { usage, description, load } of commands) {
    const command = program.command(usage).description(description)
    if (command.name() === asked) (await load())(command)
  }
  return program
}

/** `up --port 0`, `help up`: no option of the whole program takes a value, so the first word is the command. */
function askedFor(args: readonly string[]): string | undefined {
  const [first, second] = args.filter((word) => !word.startsWith('-'))
  return first === 'help' ? second : first
}
