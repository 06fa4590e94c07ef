import { type AccessRole, accessRoles, type KeyRecord } from '@tideway/core'
import { type Command, InvalidArgumentError } from 'commander'
import { ago, table } from '../view/output.js'
import { print } from '../view/print.js'
import { type ClientOptions, connect, withClient } from './context.js'

interface CreateOptions extends ClientOptions {
  readonly role: readonly AccessRole[]
  readonly model?: readonly string[]
  readonly device?: readonly string[]
  readonly expires?: string
}

export function addKeys(keys: Command): void {
  withClient(keys.command('create <name>'))
    .description('make a key, and show it this once')
    .requiredOption('--role <role...>', `what it may do: ${accessRoles.join(', ')}`, parseRoles)
    .option('--model <model...>', 'only these models (default: all)')
    .option('--device <fleet/device...>', 'only these devices; FLEET/* for all of a fleet (default: all)')
    .option('--expires <when>', 'when it ends: days from now (90d), hours (12h), or a date', (text) =>
      parseExpiry(text),
    )
    .addHelpText(
      'after',
      `
Examples:
  $ tideway keys create ops --role admin
  $ tideway keys create shop --role viewer --model digits --expires 90d
  $ tideway keys create press-1 --role device --device plant/press-1`,
    )
    .action(async (name: string, options: CreateOptions) => {
      const { role: roles, model: models, device: devices, expires: expiresAt } = options
      const made = await (await connect(options)).createKey({ name, roles, models, devices, expiresAt })
      print(
        options.json,
        made,
        () => `${made.key}\nThis key is not shown again. Its id, to revoke it: ${made.record.id}`,
      )
    })
  withClient(keys.command('list'))
    .description('list keys, newest first, and when they were last used')
    .action(async (options: ClientOptions) => {
      const all = await (await connect(options)).keys()
      const head = ['id', 'name', 'roles', 'models', 'devices', 'state', 'last used']
      print(options.json, { keys: all }, () =>
        all.length === 0 ? 'No keys yet: make one with `tideway keys create`.' : table(head, all.map(rowOf)),
      )
    })
  withClient(keys.command('revoke <id>'))
    .description('refuse a key from now on')
    .action(async (id: string, options: ClientOptions) => {
      const record = await (await connect(options)).revokeKey(id)
      print(options.json, record, () => `${record.name} (${id}) is revoked`)
    })
}

function rowOf({ id, name, roles, models, devices, lastUsedAt, ...key }: KeyRecord): string[] {
  const used = lastUsedAt === undefined ? 'never' : ago(lastUsedAt)
  return [id, name, roles.join(', '), models?.join(', ') ?? 'all', devices?.join(', ') ?? 'all', stateOf(key), used]
}

function stateOf({ revokedAt, expiresAt }: Pick<KeyRecord, 'revokedAt' | 'expiresAt'>): string {
  if (revokedAt !== undefined) return 'revoked'
  if (expiresAt === undefined) return 'valid'
  return Date.parse(expiresAt) <= Date.now() ? 'expired' : `valid until ${expiresAt.slice(0, 10)}`
}

function parseRoles(text: string, before: readonly AccessRole[] = []): AccessRole[] {
  const role = accessRoles.find((known) => known === text)
  if (role === undefined) throw new InvalidArgumentError(`a role is one of ${accessRoles.join(', ')}`)
  return [...before, role]
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000 }

/** `90d`, `12h` or a date, as the time that it means now. */
export function parseExpiry(text: string, now = Date.now()): string {
  const [, count, unit = ''] = /^(\d{1,5})([hd])$/.exec(text) ?? []
  const at = count === undefined ? Date.parse(text) : now + Number(count) * (UNIT_MS[unit] ?? 0)
  if (!Number.isFinite(at)) throw new InvalidArgumentError('give 90d, 12h, or a date such as 2030-01-31')
  return new Date(at).toISOString()
}
