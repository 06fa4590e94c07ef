import { errors } from '../errors.js'
import { ID_RULE, isId } from '../nouns/id.js'

/** What a request of the protocol is for. */
export interface InferTarget {
  readonly model: string
  /** A number, or one of the model's aliases; without it the alias `latest` is meant. */
  readonly version?: string | undefined
}

/** Of a version. */
export const NUMBER = /^[1-9]\d{0,8}$/

/**
 * What `given` names: names are looked up in the registry, and never made into paths of files. Throws `INPUT_REJECTED` naming
 * each that is none. Every process that answers needs it, so it stands apart from the schemas.
 */
export function targetIn(
  { model = '', version }: { readonly model?: string | undefined; readonly version?: string | undefined },
  what: string,
): InferTarget {
  const issues = [
    ...(isId(model) ? [] : [`model: ${ID_RULE}`]),
    ...(version === undefined || isId(version) || NUMBER.test(version)
      ? []
      : ['version: must be a number or an alias']),
  ]
  if (issues.length > 0) throw errors.INPUT_REJECTED({ what, issues })
  return version === undefined ? { model } : { model, version }
}
