import { type Issues, isObject, quoted } from './issues.js'
import { parametersOf } from './tensor-json.js'

/** Which outputs a request asks for, and in which form. */
export interface RequestedOutputs {
  /** Names of the outputs asked for, in this order; undefined for all. */
  readonly outputs?: readonly string[]
  /** Those asked for in binary: by name where `outputs` names them, else `all`; undefined for none. */
  readonly binaryOutputs?: ReadonlySet<string> | 'all'
}

/**
 * The outputs asked for (Open Inference Protocol v2, "Request Output"). `binary_data` of an output goes before
 * `binary_data_output` of the request (Triton, docs/protocol/extension_binary_data.md). Parameters that nobody defines are
 * left alone, as in Triton; those that ask for another form of the output than it would get are refused.
 */
export function decodeRequested(
  outputs: unknown,
  parameters: Readonly<Record<string, unknown>>,
  issues: Issues,
): RequestedOutputs {
  const all = booleanOf(parameters.binary_data_output, 'parameters.binary_data_output', issues)
  if (outputs === undefined || (Array.isArray(outputs) && outputs.length === 0))
    return { binaryOutputs: all ? 'all' : undefined }
  const names = new Set<string>()
  const binary = new Set<string>()
  if (!Array.isArray(outputs)) issues.add('outputs: must be a list')
  else
    for (let i = 0; i < outputs.length; i++) {
      const output: unknown = outputs[i]
      const at = `outputs.${i}`
      const name = isObject(output) ? output.name : undefined
      if (typeof name !== 'string') issues.add(`${at}.name: must be a string`)
      // Each copy would lengthen the answer by a whole tensor.
      else if (names.has(name)) issues.add(`${at}.name: ${quoted(name)} is given twice`)
      else names.add(name)
      const own = isObject(output) ? parametersOf(output.parameters, at, issues) : {}
      const inBinary = booleanOf(own.binary_data, `${at}.parameters.binary_data`, issues) ?? all
      if (inBinary && typeof name === 'string') binary.add(name)
      for (const form of ['classification', 'shared_memory_region'])
        if (own[form] !== undefined) issues.add(`${at}.parameters.${form}: is not supported`)
    }
  return { outputs: [...names], binaryOutputs: binary.size > 0 ? binary : undefined }
}

/** Undefined where it is not given, so that another one holds. */
function booleanOf(value: unknown, at: string, issues: Issues): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  issues.add(`${at}: must be true or false`)
  return undefined
}
