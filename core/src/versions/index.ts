/**
 * `@tideway/core/versions`: what a process takes of core, beside `/serving`, that serves versions of a store under traffic
 * policies: manifests and policies, with the schemas that narrow them.
 */
export { readManifest } from '../nouns/manifest.js'
export { assign, pick } from '../traffic/assign.js'
export { agree } from '../traffic/compare.js'
export {
  answeringIn,
  faultsOf,
  SINGLE,
  sharesOf,
  trafficPolicySchema,
  trafficRequestSchema,
  trafficSwitchSchema,
  versionsIn,
} from '../traffic/policy.js'
export { signatureChange } from '../traffic/signature.js'
export { narrow } from '../wire/parse.js'
