import type { Envelope } from '@tideway/core'

/** What any door may be sent: never well formed for any of them. */
export const hostileBodies: Readonly<Record<string, Uint8Array>> = Object.fromEntries(
  Object.entries({
    'cut off': '{"v":1,"model":',
    empty: '',
    'an array': '[1,[2],{"3":4}]',
    'a text': '"text"',
    null: 'null',
    'a number beyond all': '1e999',
    'nested without end': `${'['.repeat(50_000)}${']'.repeat(50_000)}`,
    'of wrong shapes':
      '{"v":"1","model":5,"inputs":{"x":1},"reports":7,"models":[],"sha256s":"x","points":{},"generation":-1,"boot":[]}',
    'unknown fields only': '{"surprise":true,"constructor":{"prototype":1},"__proto__":{"admin":true}}',
  }).map(([what, text]) => [what, Buffer.from(text)]),
)
Object.assign(hostileBodies, { 'not UTF-8': Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]) })

/** A report as a device sends it, with a field that nobody knows. */
export function goodReport(fleet: string, device: string, seq: number): Envelope {
  const at = new Date().toISOString()
  const times = { from: at, to: at, sentAt: at }
  const envelope = {
    v: 1,
    kind: 'event',
    device,
    fleet,
    boot: 'boot',
    seq,
    schema: 1,
    ...times,
    body: { seq },
  } as const
  return { ...envelope, fromTheFuture: { kept: true } }
}
