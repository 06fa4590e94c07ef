/**
 * `@tideway/core/serving`: what a process takes of core that answers inference requests and does nothing else. Nothing here
 * imports schemas, the container, networks or profiles, which would take it longer than a small model. Types are those of
 * `@tideway/core`.
 */
export { resolveConfig } from '../config/config.js'
export { resolveServing } from '../config/serving.js'
export { allows, allowsDevice, allowsModel, isLoopback, MIN_KEY_LENGTH, openAccess } from '../contracts/access.js'
export { silentLogger } from '../contracts/logger.js'
export { nullMetrics } from '../contracts/metrics.js'
export { arrayClasses, elementCount, setOwn } from '../contracts/tensor.js'
export { codeOf, defineErrors, entry, TidewayError } from '../errors/error.js'
export { errors } from '../errors.js'
export { encodeInferAnswer } from '../inference/answer.js'
export { headerBytesOf, joinAligned } from '../inference/body.js'
export { runMeasured } from '../inference/measured.js'
export { decodeInferRequest } from '../inference/request.js'
export { Statistics } from '../inference/statistics.js'
export { targetIn } from '../inference/target.js'
export { isId } from '../nouns/id.js'
export { tokens } from '../plugin/token.js'
export { inputCheck } from '../runtime/inputs.js'
export { Refusals } from '../telemetry/refusals.js'
export { labelsOf, VersionSeries, versionLabels } from '../telemetry/versions.js'
export { limits } from '../wire/limits.js'
export { requestIdOf } from '../wire/request-id.js'
