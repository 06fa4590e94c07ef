import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually, freePort, type RunningProcess, startProcess } from './process.js'

export interface TestMosquitto {
  readonly url: string
  /** The user name that may do everything; devices are `<fleet>/<device>`. */
  readonly cloudUsername: string
  /** Stops it, runs `meanwhile`, and starts it again on the same port. */
  restart(meanwhile?: () => Promise<void>): Promise<void>
  close(): Promise<void>
}

/** Mosquitto's access rules for Tideway: `%u` is the user name, which is `<fleet>/<device>`. */
const ACL = `user tideway-cloud
topic readwrite tideway/v1/#

pattern write tideway/v1/report/%u
pattern write tideway/v1/reported/%u
pattern write tideway/v1/presence/%u
pattern read tideway/v1/ack/%u
`

/** Starts a Mosquitto with access rules by user name, on a free port of 127.0.0.1. */
export async function startMosquitto(path: string, fleets: readonly string[]): Promise<TestMosquitto> {
  const dir = await mkdtemp(join(tmpdir(), 'tideway-mosquitto-'))
  const port = await freePort()
  // Desired topics hold a level between fleet and device, which a pattern cannot express: named per fleet.
  const desired = fleets.map((fleet) => `pattern read tideway/v1/desired/${fleet}/#\n`).join('')
  await writeFile(join(dir, 'acl'), ACL + desired, { mode: 0o600 })
  await writeFile(
    join(dir, 'mosquitto.conf'),
    `listener ${port} 127.0.0.1
allow_anonymous true
acl_file ${join(dir, 'acl')}
persistence false
set_tcp_nodelay true
max_queued_messages 0
message_size_limit 300000
user ${process.getuid?.() === 0 ? 'root' : 'mosquitto'}
`,
  )
  let server: RunningProcess
  async function start(): Promise<void> {
    server = startProcess(path, ['-c', join(dir, 'mosquitto.conf')])
    await eventually('mosquitto listens', () => accepts(port))
  }
  await start()
  return {
    url: `mqtt://127.0.0.1:${port}`,
    cloudUsername: 'tideway-cloud',
    async restart(meanwhile) {
      await server.kill()
      await meanwhile?.()
      await start()
    },
    async close() {
      await server.kill()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

/** Whether something accepts TCP connections on the port. */
export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port })
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
