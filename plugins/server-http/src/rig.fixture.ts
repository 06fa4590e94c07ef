import { type AccessInput, optionsSchema as accessSchema, createAccess } from '@tideway/access'
import { type Listener, listen } from './listen.js'
import { optionsSchema } from './schema.js'
import type { Services } from './services.js'

export interface Rig extends Listener {
  /** JSON in, status and JSON out. */
  call(method: string, path: string, json?: unknown, headers?: Record<string, string>): Promise<Answer>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  /** The parsed body; `undefined` if it is empty. */
  readonly body: unknown
  /** Of an error, in either form. */
  readonly code: unknown
}

/** The services behind a real listener on a free port of loopback; keys go to an `Access` of the rig's own. */
export async function startRig(
  services: Services,
  { access, ...options }: { access?: AccessInput; [option: string]: unknown } = {},
): Promise<Rig> {
  const opened = access && createAccess(accessSchema.parse(access), services)
  await opened?.open()
  const listener = await listen(
    { ...services, ...(opened && { access: opened }) },
    optionsSchema.parse({ port: 0, ...options }),
  )
  return {
    ...listener,
    async call(method, path, json, headers = {}) {
      const response = await fetch(listener.url + path, {
        method,
        headers: { ...(json !== undefined && { 'Content-Type': 'application/json' }), ...headers },
        ...(json !== undefined && { body: JSON.stringify(json) }),
      })
      const text = await response.text()
      const body: unknown = text === '' ? undefined : JSON.parse(text)
      return { status: response.status, headers: response.headers, body, code: codeIn(body) }
    },
  }
}

function codeIn(body: unknown): unknown {
  const { code, error } = (body ?? {}) as { code?: unknown; error?: { code?: unknown } }
  return code ?? error?.code
}
