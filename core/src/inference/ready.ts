import type { Serving } from '../contracts/cloud.js'
import type { Logger } from '../contracts/logger.js'
import type { AuditLog } from '../contracts/store.js'
import { codeOf, TidewayError } from '../errors/error.js'
import type { InferTarget } from './target.js'

/** Can this process do its work? It can when its store answers; without a store there is nothing to wait for. */
export async function storeAnswers(services: {
  readonly auditLog?: Pick<AuditLog, 'list'>
  readonly logger?: Pick<Logger, 'warn'>
}): Promise<boolean> {
  try {
    await services.auditLog?.list({ limit: 1 })
    return true
  } catch (error) {
    services.logger?.warn('not ready: the store does not answer', { cause: String(error) })
    return false
  }
}

/**
 * Why a version that is there cannot be run; undefined where it can. Asking loads the version, so that the next request can
 * rely on the answer. Throws what says that it is not there, and what is no code of ours.
 */
export async function whyNotReady(
  serving: Pick<Serving, 'metadata'>,
  { model, version }: InferTarget,
): Promise<TidewayError | undefined> {
  try {
    await serving.metadata(model, version)
    return undefined
  } catch (error) {
    const absent = ['MODEL_NOT_FOUND', 'VERSION_NOT_FOUND'].includes(codeOf(error) ?? '')
    if (absent || !(error instanceof TidewayError)) throw error
    return error
  }
}

/** Models that can be listed, loaded and unloaded. */
export type Repository = Serving & Required<Pick<Serving, 'index' | 'load' | 'unload'>>

export function isRepository(serving: Serving): serving is Repository {
  return serving.index !== undefined && serving.load !== undefined && serving.unload !== undefined
}
