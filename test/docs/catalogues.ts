import { entries as broker } from '@tideway/broker-aedes'
import { entries as client } from '@tideway/client'
import { cloudErrorEntries as cloud } from '@tideway/cloud'
import { entries as core } from '@tideway/core'
import { dataFilesErrorEntries as files } from '@tideway/data-files'
import { entries as edge } from '@tideway/edge'
import { entries as metrics } from '@tideway/metrics-prometheus'
import { entries as monitor } from '@tideway/monitor-drift'
import { onnxErrorEntries as onnx } from '@tideway/onnx'
import { onnxWebErrorEntries as web } from '@tideway/runtime-onnx-web'
import { tfjsErrorEntries as tfjs } from '@tideway/runtime-tfjs'
import { entries as serverGrpc } from '@tideway/server-grpc'
import { entries as server } from '@tideway/server-http'
import { entries as store } from '@tideway/store-postgres'
import { trainerTfjsErrorEntries as trainerTfjs } from '@tideway/trainer-tfjs'
import { trainingErrorEntries as trainer } from '@tideway/training'
import { entries as mqtt } from '@tideway/transport-mqtt'
import { entries as nats } from '@tideway/transport-nats'

interface Entry {
  readonly status: number
  readonly fix: string
}

/** Every package's catalogue of error codes. */
export const catalogues: Readonly<Record<string, Readonly<Record<string, Entry>>>> = {
  '@tideway/core': core,
  '@tideway/onnx': onnx,
  '@tideway/runtime-onnx-web': web,
  '@tideway/runtime-tfjs': tfjs,
  '@tideway/training': trainer,
  '@tideway/trainer-tfjs': trainerTfjs,
  '@tideway/data-files': files,
  '@tideway/store-postgres': store,
  '@tideway/transport-nats': nats,
  '@tideway/transport-mqtt': mqtt,
  '@tideway/broker-aedes': broker,
  '@tideway/server-http': server,
  '@tideway/server-grpc': serverGrpc,
  '@tideway/monitor-drift': monitor,
  '@tideway/metrics-prometheus': metrics,
  '@tideway/client': client,
  '@tideway/cloud': cloud,
  '@tideway/edge': edge,
}

/** `docs/errors.md`. */
export function errorsPage(): string {
  const sections = Object.entries(catalogues).map(([name, entries]) => {
    const rows = Object.entries(entries)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([code, { status, fix }]) => `| \`${code}\` | ${status} | ${fix.replaceAll('|', '\\|')} |`)
    return `## ${name}\n\n| code | HTTP status | what to do |\n|---|---|---|\n${rows.join('\n')}\n`
  })
  return `# Errors

Every error that Tideway throws on purpose is a \`TidewayError\` with a literal \`code\`, typed \`data\` and, where there is
one, a \`cause\`. Messages name ids, sizes, digests and fields, never payloads or secrets. Over HTTP the code comes with
the status below. Made by \`npm run docs\` from the packages' catalogues; a test holds both together.

${sections.join('\n')}`
}
