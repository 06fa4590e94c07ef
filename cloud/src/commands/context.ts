import { type Client, createClient } from '@tideway/client'
import type { Command } from 'commander'
import { readCloudProcess } from '../config/process-file.js'
import { cloudErrors } from '../errors.js'

/** Options of every command that talks to a running cloud. */
export interface ClientOptions {
  readonly dir: string
  readonly cloud?: string
  readonly json?: boolean
}

/** Adds those options to a command. */
export function withClient(command: Command): Command {
  return command
    .option('--dir <dir>', 'directory of a cloud process on this machine', '.tideway')
    .option('--cloud <url>', 'URL of the cloud (default: the one that runs in --dir)')
    .option('--json', 'print one JSON document')
}

/** A client of the cloud that the options name; the API key comes from TIDEWAY_API_KEY. Throws `CLOUD_NOT_RUNNING`. */
export async function connect({ dir, cloud }: ClientOptions): Promise<Client> {
  const url = cloud ?? (await readCloudProcess(dir))?.url
  if (url === undefined) throw cloudErrors.CLOUD_NOT_RUNNING({ dir })
  const apiKey = process.env.TIDEWAY_API_KEY
  return createClient({ url, ...(apiKey !== undefined && { apiKey }) })
}
