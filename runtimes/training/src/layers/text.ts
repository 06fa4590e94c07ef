import { type NetworkConfig, planNetwork } from '@tideway/core'
import { isAlias, parseDocument, visit } from 'yaml'
import { errors } from '../errors.js'

/** A network is a page; more is a mistake, or an attack. */
const MAX_BYTES = 1_000_000
/** References to one part; each may name others, so that few lines would become gigabytes. */
const MAX_ALIASES = 100

/**
 * A network from YAML or JSON, checked as `defineNetwork` does. YAML is 1.2 with its core schema (JSON's types, no tags),
 * and no key twice. Throws `NETWORK_TEXT_INVALID` with the lines, `INPUT_REJECTED` naming every bad field,
 * `NETWORK_TOO_LARGE`.
 *
 * @example
 * readNetwork(`
 *   input: { name: image, shape: [28, 28, 1] }
 *   output: { name: probabilities }
 *   layers:
 *     - { type: conv2d, filters: 16, kernelSize: 3, activation: relu }
 *     - { type: flatten }
 *     - { type: dense, units: 10, activation: softmax }
 * `)
 */
export function readNetwork(text: string): NetworkConfig {
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_BYTES) throw errors.NETWORK_TEXT_INVALID({ issues: [`${bytes} bytes; the limit is ${MAX_BYTES}`] })
  const document = parseDocument(text, { version: '1.2', schema: 'core', uniqueKeys: true, prettyErrors: true })
  const wrong = [...document.errors, ...document.warnings]
  // A message goes on with the text itself, which is none of a log's business.
  const issues = wrong.map(({ message }) => message.split('\n')[0]?.replace(/:$/, '') ?? message)
  let aliases = 0
  visit(document, {
    Node: (_, node) => {
      if (isAlias(node)) aliases++
      else if (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:')) issues.push(`tag ${node.tag}`)
    },
  })
  if (aliases > MAX_ALIASES) issues.push(`${aliases} aliases; the limit is ${MAX_ALIASES}`)
  if (issues.length > 0) throw errors.NETWORK_TEXT_INVALID({ issues })
  let network: NetworkConfig
  try {
    network = document.toJS({ maxAliasCount: MAX_ALIASES }) as NetworkConfig
  } catch (cause) {
    throw errors.NETWORK_TEXT_INVALID({ issues: ['its aliases cannot be followed'] }, cause)
  }
  planNetwork(network)
  return network
}
