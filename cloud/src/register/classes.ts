import type { Tensor, Tensors } from '@tideway/core'
import { cloudErrors } from '../errors.js'
import { argmax } from '../pipeline/evaluate.js'
import { numberAt } from '../pipeline/tolerance.js'
import type { Rows } from '../quantize/rows.js'

const MOST_NAMED = 10
const COMMAS = ' (names are separated by blanks)'

/**
 * Names of the classes by the model's own indices, and rows whose labels are these indices. Data names its classes in an order of
 * its own, that of their names, which is the model's only where they are all of its classes. `outputs` are the model's answers to
 * some rows. Throws `REGISTER_ORDER_INVALID` where names or labels are not those of the model.
 */
export function namedClasses(
  named: readonly string[] | undefined,
  rows: Rows,
  outputs: Tensors,
): { readonly classes: readonly string[] | undefined; readonly rows: Rows } {
  const { classes: found, targets } = rows
  const odds = Object.values(outputs).filter(({ dtype, shape }) => dtype.startsWith('float') && shape.length === 2)
  const widths = odds.map(({ shape }) => shape[1] ?? 0)
  // One number is the odds of the second of two.
  const fits = (count: number) => widths.length === 0 || widths.includes(count) || (count === 2 && widths.includes(1))
  const gives = `the model gives ${widths.join(' and ')} numbers a row`
  const issues: string[] = []
  if (named !== undefined && !fits(named.length))
    issues.push(
      `--classes: ${named.length} names, but ${gives}${named.some((name) => name.includes(',')) ? COMMAS : ''}`,
    )
  if (named === undefined && found !== undefined && !fits(found.length))
    issues.push(
      `--data: ${found.length} classes (${listed(found)}), but ${gives}: name all, in the model's order, with --classes`,
    )
  const others = named === undefined ? [] : (found ?? []).filter((name) => !named.includes(name))
  if (others.length > 0) issues.push(`--classes: the data has others, ${listed(others)}`)
  const most = Math.max(...widths)
  const beyond =
    targets?.dtype === 'int32' && found === undefined && most > 1 ? targets.data.findIndex((at) => at >= most) : -1
  if (beyond >= 0)
    issues.push(`--data: row ${beyond + 1} has the class ${targets!.data[beyond]}, but the model 0 to ${most - 1}`)
  const classes = named ?? found
  if (issues.length === 0 && classes !== undefined) issues.push(...calledOtherwise(classes, odds, outputs))
  if (issues.length > 0) throw cloudErrors.REGISTER_ORDER_INVALID({ issues })
  if (named === undefined || found === undefined || targets?.dtype !== 'int32') return { classes, rows }
  const data = targets.data.map((label) => named.indexOf(found[label] ?? ''))
  return { classes: named, rows: { ...rows, classes: named, targets: { ...targets, data } } }
}

/** Where a model gives the class's name beside the odds, it says itself what its classes are called. */
function calledOtherwise(classes: readonly string[], odds: readonly Tensor[], outputs: Tensors): string[] {
  const texts = Object.values(outputs).find(({ dtype, shape }) => dtype === 'string' && shape.length === 1)
  const own = odds.find(({ shape }) => shape[1] === classes.length)
  if (texts === undefined || own === undefined) return []
  const numbers = Array.from({ length: own.data.length }, (_, at) => numberAt(own, at))
  for (const [row, text] of (texts.data as readonly string[]).entries()) {
    const index = argmax(numbers, row * classes.length, classes.length)
    if (text !== classes[index])
      return [
        `--classes: the model itself calls class ${index} ${JSON.stringify(text)}, and not ${JSON.stringify(classes[index])}`,
      ]
  }
  return []
}

const listed = (names: readonly string[]): string => names.slice(0, MOST_NAMED).join(', ')
