import type { CloudConfig } from '@tideway/core'
import { resolveConfig } from '@tideway/core/serving'
import type { Command } from 'commander'
import { deferredLogger } from '../config/deferred-logger.js'
import { orderOf, type ServeOptions } from '../serve/order.js'
import { serveFiles } from '../serve/serve.js'
import { print } from '../view/print.js'
import { withKeyOfEnvironment } from './environment.js'

export function addServe(command: Command): void {
  command
    .option('--host <host>', 'address; any but loopback needs API keys or an issuer (default: 127.0.0.1)')
    .option('--port <port>', '0 for a free one (default: 4400)')
    .option('--grpc <port>', 'answer over gRPC on this port too, 0 for a free one')
    .option('--threads <n>', 'cores that runs may use (default: all)')
    .option('--max-batch-rows <n>', 'rows of requests that run together (default: 32)')
    .option('--max-delay-ms <n>', 'how long a request that waits behind a run may wait for others (default: 0)')
    .option('--config <file>', 'take http, grpc, access, serving, logs and traces from a configuration file')
    .option('--json', 'say that it is ready as one JSON line')
    .addHelpText(
      'after',
      `
The name of a model is that of its file without .onnx, its one version is 1. The Open Inference Protocol is answered at
/v2 (and over gRPC where --grpc or --config asks for it), metrics for Prometheus at /metrics. It says that it is ready when
every model is loaded and was tried. Nothing is stored; SIGTERM or Ctrl-C lets it finish what it took.

Beyond loopback it asks for keys: one of the role admin in TIDEWAY_ADMIN_KEY, others and an issuer by --config.

Examples:
  $ tideway serve model.onnx
  $ tideway serve digits=exports/net-7.onnx pump.onnx --port 8000 --grpc 8001
  $ TIDEWAY_ADMIN_KEY=... tideway serve model.onnx --host 0.0.0.0`,
    )
    .action(async (files: string[], options: ServeOptions) => serve(files, options))
}

async function configured(file: string): Promise<CloudConfig> {
  const { configIn } = await import('../serve/config.js')
  return configIn(file)
}

async function serve(args: readonly string[], options: ServeOptions): Promise<void> {
  // A signal during the start is kept until the start is done.
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal))
  })
  const order = await orderOf(args, options)
  const file = options.config === undefined ? {} : await configured(options.config)
  const config = resolveConfig(withKeyOfEnvironment(file), order.given)
  const { level } = config.logs
  const logger = deferredLogger(level, async () =>
    (await import('../config/logger.js')).createLogger('tideway serve', level),
  )
  const plugins = config.plugins.map(({ plugin }) => plugin.name)
  if (plugins.length > 0)
    logger.warn('plugins of the configuration are for `tideway up`, and are left out', { plugins })
  const served = await serveFiles(order.files, config, logger)
  const models = served.models.map(({ model, file: path, sha256, bytes }) => ({ model, file: path, sha256, bytes }))
  print(options.json, { ready: true, pid: process.pid, url: served.url, grpcUrl: served.grpcUrl, models }, () =>
    [
      `Tideway serves at ${served.url}${served.grpcUrl === undefined ? '' : ` and ${served.grpcUrl}`}`,
      ...models.map(({ model, file: path }) => `  ${model}  ${served.url}/v2/models/${model}  (${path})`),
      '  Ctrl-C stops it',
    ].join('\n'),
  )
  const signal = await stopped
  logger.info('stopping', { signal })
  await served.stop()
  await logger.flush()
}
