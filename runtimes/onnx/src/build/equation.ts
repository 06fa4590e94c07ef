import { errors } from '../errors.js'
import type { NodeContext } from './context.js'

/** An Einsum equation with an index for each axis; the axes of "..." are called 0, 1, … from the last one back. */
export interface Equation {
  readonly inputs: readonly (readonly string[])[]
  readonly output: readonly string[]
}

/**
 * Reads an Einsum's equation. Without "->", the output has the axes of "..." and then, in order of the alphabet, the
 * indices that come once. Throws `GRAPH_INVALID` for one that does not fit the operands.
 */
export function equationOf({ attributes, inputs }: Pick<NodeContext, 'attributes' | 'inputs'>): Equation {
  const { equation } = attributes
  const text = typeof equation === 'string' ? equation.replaceAll(/\s/gu, '') : ''
  const invalid = (reason: string): Error =>
    errors.GRAPH_INVALID({ operator: 'Einsum', reason: `"${text}": ${reason}` })
  const [left, right, ...more] = text.split('->') as [string, string | undefined, ...string[]]
  const terms = left.split(',')
  if (more.length > 0 || [...terms, right ?? ''].some((term) => !/^[A-Za-z]*(?:\.{3})?[A-Za-z]*$/u.test(term)))
    throw invalid('it is no equation of letters and "..."')
  if (terms.length !== inputs.length) throw invalid(`it has ${terms.length} terms for ${inputs.length} inputs`)
  let widest = 0
  const operands = terms.map((term, place) => {
    const rank = inputs[place]?.shape.length ?? 0
    const letters = term.replace('...', '').length
    const dots = term.includes('...') ? rank - letters : 0
    if (dots < 0 || letters + dots !== rank) throw invalid(`"${term}" is for another rank than ${rank}`)
    widest = Math.max(widest, dots)
    return spread(term, dots)
  })
  const all = operands.flat()
  const once = all.filter((index) => /[A-Za-z]/u.test(index) && all.indexOf(index) === all.lastIndexOf(index))
  const output = right === undefined ? [...spread('...', widest), ...once.toSorted()] : spread(right, widest)
  const stray = output.find((index, at) => !all.includes(index) || output.indexOf(index) !== at)
  if (stray !== undefined) throw invalid(`index ${stray} of the output comes twice, or in no operand`)
  return { inputs: operands, output }
}

const spread = (term: string, dots: number): string[] => {
  const [before, after] = term.split('...') as [string, string | undefined]
  const axes = after === undefined ? [] : Array.from({ length: dots }, (_, at) => String(dots - 1 - at))
  return [before.split(''), axes, (after ?? '').split('')].flat()
}
