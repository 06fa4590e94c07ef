import { defineErrors, entry } from '@tideway/core/serving'

/** Errors of the cloud process, its pipelines and the `tideway` command. */
export const { entries: cloudErrorEntries, errors: cloudErrors } = defineErrors({
  GATE_FAILED: entry<{ failures: readonly string[] }>(
    422,
    (d) => `the version does not pass its gates: ${d.failures.join('; ')}`,
    'It was not registered; train longer, change the network, or change the gate.',
  ),
  ANSWERS_NOT_FINITE: entry<{ issues: readonly string[] }>(
    422,
    (d) => `the model answers with numbers that are not finite: ${d.issues.join('; ')}`,
    'A device could not compare its own with them. Train with a lower learning rate, check the rows for values far from ' +
      'the others, or take another recipe where the quantized model alone does.',
  ),
  ANSWERS_NOT_COMPARABLE: entry<{ output: string; shape: string; other: string }>(
    422,
    (d) =>
      `the known answers of a variant cannot be taken: its output "${d.output}" is ${d.shape}, and elsewhere ${d.other}`,
    'Where the size of an output depends on the values, as where boxes are chosen, leave that part out of the model.',
  ),
  TFJS_RUNTIME_MISSING: entry<{ reason: string }>(
    501,
    (d) => `the pipeline asks for a variant for TensorFlow.js, and this node has no runtime to try it: ${d.reason}`,
    'Run `npm install @tideway/runtime-tfjs` where the trainer node is installed, or leave `tfjs` out of `formats`.',
  ),
  TFJS_ANSWERS_DIFFER: entry<{ engine: string; reason: string }>(
    500,
    (d) => `the model as written for TensorFlow.js does not answer as ${d.engine} does: ${d.reason}`,
    'It was not registered. Leave `tfjs` out of `formats`, and report it with the layers of the network.',
  ),
  DATA_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the data cannot be used: ${d.issues.join('; ')}`,
    'Correct the named rows or columns.',
  ),
  SERVING_BUSY: entry<{ queuedRows: number; retryAfterMs: number }>(
    429,
    (d) => `the model has ${d.queuedRows} rows waiting already`,
    'Ask again after `Retry-After`; if that goes on, run more cloud processes, or allow larger batches.',
  ),
  DEADLINE_EXCEEDED: entry<{ waitedMs: number; expectedMs?: number }>(
    504,
    (d) =>
      d.expectedMs === undefined
        ? `the run of the request did not begin by its deadline: it waited ${d.waitedMs} ms`
        : `the run of the request would begin after its deadline: about ${d.expectedMs} ms of others are before it`,
    'It was not run. Give a longer deadline; if that goes on, run more cloud processes, or allow larger batches.',
  ),
  CLIENT_GONE: entry(
    499,
    () => 'the client went away before the run of its request began',
    'It was not run; the answer is read by nobody.',
  ),
  SERVE_ORDER_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the files cannot be served as ordered: ${d.issues.join('; ')}`,
    'Correct what is named; nothing was started, and what the other files hold was not tried.',
  ),
  REGISTER_ORDER_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the files cannot be registered as ordered: ${d.issues.join('; ')}`,
    'Correct what is named; nothing was registered.',
  ),
  ROWS_NEEDED: entry<{ reason: string }>(
    422,
    (d) => `the model does not answer rows that are made up, which its known answers would be of: ${d.reason}`,
    'Give some rows that it does answer with --data.',
  ),
  MODEL_NOT_SERVED: entry<{ failures: readonly string[] }>(
    422,
    (d) => `not every file could be loaded: ${d.failures.join('; ')}`,
    'Nothing was started. Leave these files out, or export them again as ONNX.',
  ),
  MODEL_FILE_CHANGED: entry<{ model: string; file: string }>(
    409,
    (d) => `${d.file} is not any more what was served as model ${d.model}`,
    'Start the process anew to serve what the file holds now.',
  ),
  MODELS_FIXED: entry(
    409,
    () => 'this process serves the files that it was started with, and takes no others',
    'Run a cloud (`tideway up`) to register versions and to move aliases.',
  ),
  DATA_PLANE_FAILED: entry<{ host: string; port: number; reason: string }>(
    500,
    (d) => `the processes for inference on ${d.host} port ${d.port} did not start: ${d.reason}`,
    'Take another port, or fewer processes.',
  ),
  SERVING_PROCESS_ENDED: entry<Record<string, never>>(
    503,
    () => 'the process that was asked has ended',
    'Ask again: it is started again, unless the whole cloud stops.',
  ),
  AB_OPTIONS_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the options declare no A/B test: ${d.issues.join('; ')}`,
    'Give numbers as 0.05 or 1e-3; `tideway ab start --help` says what each is.',
  ),
  TRAFFIC_OPTIONS_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the options make no traffic policy: ${d.issues.join('; ')}`,
    'Give --only, or --weights, or --stable with --canary and --percent, or --blue with --green; --shadow with any.',
  ),
  PIPELINE_INVALID: entry<{ file: string; reason: string }>(
    400,
    (d) => `${d.file} is no pipeline: ${d.reason}`,
    'Export definePipeline({ ... }) as default.',
  ),
  FILE_NOT_LOADED: entry<{ file: string; reason: string }>(
    400,
    (d) => `${d.file} could not be loaded: ${d.reason}`,
    'Check its path. A file with imports must be where the packages that it imports are installed.',
  ),
  FILE_NOT_WRITTEN: entry<{ file: string; reason: string }>(
    500,
    (d) => `${d.file} could not be written: ${d.reason}`,
    'Check that its folder is there, is writable and has room.',
  ),
  QUANTIZE_ORDER_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the order to quantize cannot be carried out: ${d.issues.join('; ')}`,
    'Correct the options named.',
  ),
  QUANTIZE_LOSS_TOO_HIGH: entry<{ maxLoss: number; best: string; loss: number | null; tries: readonly unknown[] }>(
    422,
    (d) => `no recipe holds the limits: ${d.best}`,
    'Nothing was written. Allow more with --max-loss or --max-slowdown, or give more calibration rows.',
  ),
  PREDICT_ORDER_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the rows cannot be predicted as ordered: ${d.issues.join('; ')}`,
    'Correct the options or the columns named.',
  ),
  PREDICT_ROWS_INVALID: entry<{ file: string; issues: readonly string[]; more: number }>(
    422,
    (d) =>
      `${d.file} has rows that cannot be predicted: ${d.issues.join('; ')}${d.more > 0 ? `; and ${d.more} more` : ''}`,
    'Correct the rows named, or leave them out with --on-error skip; then run it with --restart.',
  ),
  PREDICT_RESUME_REFUSED: entry<{ output: string; changed: readonly string[] }>(
    409,
    (d) => `${d.output} was begun with something else: ${d.changed.join('; ')}`,
    'Give what it was begun with, and it goes on; or begin anew with --restart.',
  ),
  PREDICT_OUTPUT_EXISTS: entry<{ output: string }>(
    409,
    (d) => `${d.output} is there already`,
    'Choose another --output, or replace it with --restart.',
  ),
  CONFIG_INVALID: entry<{ file: string; reason: string }>(
    400,
    (d) => `${d.file} is no configuration: ${d.reason}`,
    'Export defineConfig({ ... }) as default, and correct what is named.',
  ),
  UP_ORDER_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the cloud cannot be started as ordered: ${d.issues.join('; ')}`,
    'Correct the options named; `tideway up --help` tells what they take.',
  ),
  ADMIN_KEY_TOO_SHORT: entry<{ characters: number; least: number }>(
    400,
    (d) => `the key in TIDEWAY_ADMIN_KEY has ${d.characters} characters, and must have at least ${d.least}`,
    'Make one that nobody guesses: `openssl rand -base64 24` writes one.',
  ),
  TRAINER_INCOMPLETE: entry<{ missing: readonly string[] }>(
    400,
    (d) => `a trainer without the role api in its process lacks ${d.missing.join(' and ')}`,
    'Name the cloud that it works for, and the NATS server that holds the queue of jobs.',
  ),
  JOB_FAILED: entry<{ job: string; code: string; reason: string }>(
    422,
    (d) => `job ${d.job} failed with ${d.code}: ${d.reason.replace(/\.$/, '')}`,
    'Correct the cause and train again.',
  ),
  CLOUD_NOT_RUNNING: entry<{ dir: string }>(
    503,
    (d) => `no cloud process runs in ${d.dir}`,
    'Start one with `tideway up`, or name a running one with --cloud URL.',
  ),
  CLOUD_ALREADY_RUNNING: entry<{ dir: string; pid: number }>(
    409,
    (d) => `process ${d.pid} runs the cloud in ${d.dir} already`,
    'Use it, stop it with `tideway down`, or choose another --dir.',
  ),
  SERVER_NOT_FOUND: entry<{ server: string; install: string }>(
    500,
    (d) => `${d.server} is not on PATH`,
    'Install it (apt-get install nats-server, brew install nats-server, winget install NATSAuthors.NATSServer) or name a running one.',
  ),
  PROCESS_ENDED: entry<{ process: string; exit: string; stderr: string }>(
    500,
    (d) => `${d.process} ended with ${d.exit} before it was ready: ${d.stderr}`,
    'See its output.',
  ),
  WAIT_TIMEOUT: entry<{ what: string; seconds: number }>(
    504,
    (d) => `${d.what} did not happen within ${d.seconds} s`,
    'See the logs in the state directory.',
  ),
  QUICKSTART_FAILED: entry<{ failures: readonly string[] }>(
    500,
    (d) => `the quickstart did not show what it must: ${d.failures.join('; ')}`,
    'Please report it with the JSON of --json.',
  ),
})
