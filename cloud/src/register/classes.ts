import type { Signature } from '@tideway/core'
import { cloudErrors } from '../errors.js'
import type { Rows } from '../quantize/rows.js'

/**
 * Names of the classes by the model's own indices, and rows whose labels are these indices. Data names its classes in an order of
 * its own, that of their names, which is the model's only where they are all of its classes. Throws `REGISTER_ORDER_INVALID`.
 */
export function namedClasses(
  named: readonly string[] | undefined,
  rows: Rows,
  signature: Signature,
): { readonly classes: readonly string[] | undefined; readonly rows: Rows } {
  const { classes: found, targets } = rows
  const widths = signature.outputs
    .filter(({ dtype, shape }) => dtype.startsWith('float') && shape.length > 1)
    .map(({ shape }) => shape.at(-1) ?? null)
  const fits = (count: number) => widths.length === 0 || widths.includes(null) || widths.includes(count)
  const gives = `the model gives ${widths.join(' and ')} numbers a row`
  const issues: string[] = []
  if (named !== undefined && !fits(named.length)) issues.push(`--classes: ${named.length} names, but ${gives}`)
  if (named === undefined && found !== undefined && !fits(found.length))
    issues.push(
      `--data: ${found.length} classes (${found.slice(0, 10).join(', ')}), but ${gives}: name all, in the model's order, with --classes`,
    )
  const others = named === undefined ? [] : (found ?? []).filter((name) => !named.includes(name))
  if (others.length > 0) issues.push(`--classes: the data has others, ${others.slice(0, 10).join(', ')}`)
  if (issues.length > 0) throw cloudErrors.REGISTER_ORDER_INVALID({ issues })
  if (named === undefined || found === undefined || targets?.dtype !== 'int32') return { classes: named ?? found, rows }
  const data = targets.data.map((label) => named.indexOf(found[label] ?? ''))
  return { classes: named, rows: { ...rows, classes: named, targets: { ...targets, data } } }
}
