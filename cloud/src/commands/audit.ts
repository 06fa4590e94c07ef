import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { table } from '../view/output.js'
import { print } from '../view/print.js'
import { type ClientOptions, connect, withClient } from './context.js'

interface AuditOptions extends ClientOptions {
  readonly subject?: string
  readonly action?: string
  readonly actor?: string
  readonly before?: number
  readonly limit: number
}

const MAX_LIMIT = 1_000

export function addAudit(command: Command): void {
  withClient(command)
    .option('--subject <subject>', 'only of this: digits:3, shop/default')
    .option('--action <action>', 'only this: alias.set, desired.set, key.create')
    .option('--actor <actor>', 'only by this one')
    .option('--before <id>', 'the page before this entry', parseCount)
    .option('--limit <count>', `how many, ${MAX_LIMIT} at most`, parseCount, 50)
    .action(async (options: AuditOptions) => {
      const { subject, action, actor, before, limit } = options
      const entries = await (await connect(options)).audit({ subject, action, actor, before, limit })
      const rows = entries.map((entry) => [
        entry.id,
        entry.at,
        entry.actor,
        entry.address ?? '-',
        entry.action,
        entry.subject,
      ])
      print(options.json, { entries }, () => {
        const shown = table(['id', 'at', 'actor', 'from', 'action', 'subject'], rows)
        const last = entries.at(-1)
        return entries.length === limit && last ? `${shown}\nMore: --before ${last.id}` : shown
      })
    })
}

function parseCount(text: string): number {
  const count = Number(text)
  if (!Number.isInteger(count) || count < 1) throw new InvalidArgumentError('give a whole number above 0')
  return count
}
