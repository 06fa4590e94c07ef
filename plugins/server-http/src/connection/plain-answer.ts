import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { BinaryBody } from '@tideway/core'
import { latin1, MAX_JOINED_BYTES } from './exchange.js'

/** What no header may have in it (RFC 9110, 5.5). */
const UNSENDABLE = /[^\t\x20-\x7e\x80-\xff]/

/** What was looked at last in each place: most headers are the same in each answer. */
const sendable: string[] = []

let date = ''
let dateSecond = 0

/** Of now (RFC 9110, 6.6.1): it tells seconds. */
function dateNow(): string {
  const second = Math.floor(Date.now() / 1000)
  if (second !== dateSecond) {
    dateSecond = second
    date = new Date(second * 1000).toUTCString()
  }
  return date
}

export interface PlainAnswer {
  readonly status: number
  /** Each header's name and behind it its value. */
  readonly names: readonly string[]
  readonly body: string | BinaryBody
  /** For how long the connection may be idle behind it; undefined closes it. */
  readonly keepSeconds: number | undefined
}

/**
 * Writes an answer (RFC 9112, 4): all in one write where it is text or small. Throws a TypeError for a header that could not be
 * told from the next one.
 */
export function writeAnswer(socket: Socket, { status, names, body, keepSeconds }: PlainAnswer): void {
  const bytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
  let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
  for (let at = 0; at < names.length; at += 2) {
    const value = names[at + 1] as string
    if (value !== sendable[at]) {
      if (UNSENDABLE.test(value)) throw new TypeError(`header ${names[at]} has a character that no header may have`)
      sendable[at] = value
    }
    head += `${names[at]}: ${value}\r\n`
  }
  const connection = keepSeconds === undefined ? 'close' : `keep-alive\r\nKeep-Alive: timeout=${keepSeconds}`
  head += `Content-Length: ${bytes}\r\nDate: ${dateNow()}\r\nConnection: ${connection}\r\n\r\n`
  if (typeof body !== 'string') {
    if (bytes <= MAX_JOINED_BYTES) return void socket.write(head + textOf(body), 'latin1')
    socket.cork()
    socket.write(head, 'latin1')
    socket.write(body.body)
    socket.uncork()
  } else if (bytes === body.length) socket.write(head + body, 'latin1')
  else socket.write(Buffer.concat([Buffer.from(head, 'latin1'), Buffer.from(body)]))
}

/** A character for each byte. */
function textOf(body: BinaryBody): string {
  const { json, headerBytes, parts } = body
  if (json.length !== headerBytes) return latin1(body.body)
  let text = json
  for (const part of parts) text += latin1(part)
  return text
}
