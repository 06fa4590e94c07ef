import { allowsModel, errors, inferTargetSchema, isRepository, narrow, type Repository } from '@tideway/core'
import { GRPCInferenceService, type ModelRepositoryParameter } from '../generated/inference_pb.js'
import { demandModel, originOf } from '../grpc/access.js'
import { type Answer, described } from '../grpc/calls.js'
import type { Caller } from '../grpc/door.js'
import { type Services, servingOf } from '../services.js'

const { method } = GRPCInferenceService

interface Order {
  readonly repositoryName: string
  readonly modelName: string
  readonly parameters: Readonly<Record<string, ModelRepositoryParameter>>
}

/**
 * Triton's model repository extension (docs/protocol/extension_model_repository.md), as over HTTP: there is one repository,
 * which has no name, and configurations of models are refused.
 */
export function repositoryMethods(services: Services, maxBytes: number): Readonly<Record<string, Answer>> {
  const repository = (): Repository => {
    const serving = servingOf(services)
    if (!isRepository(serving)) throw errors.EXTENSION_NOT_HERE({ extension: 'model_repository' })
    return serving
  }
  const audit = async (caller: Caller, action: string, subject: string) => {
    await services.auditLog?.append({ ...originOf(caller), action, subject, data: {} })
  }
  return {
    RepositoryIndex: described(method.repositoryIndex, maxBytes, async ({ repositoryName, ready }, { actor }) => {
      throwIfAny(repositoryIssues(repositoryName))
      const all = await repository().index()
      const shown = all.filter(({ model, state }) => allowsModel(actor, model) && (!ready || state === 'ready'))
      return {
        models: shown.map(({ model, version, state, reason }) => ({
          name: model,
          version,
          state: state.toUpperCase(),
          reason,
        })),
      }
    }),
    RepositoryModelLoad: described(method.repositoryModelLoad, maxBytes, async (order, caller) => {
      const model = modelOf(order, {}, caller)
      await repository().load(model)
      await audit(caller, 'model.load', model)
      return {}
    }),
    RepositoryModelUnload: described(method.repositoryModelUnload, maxBytes, async (order, caller) => {
      // There are none.
      const model = modelOf(order, { unload_dependents: 'boolParam' }, caller)
      await repository().unload(model)
      await audit(caller, 'model.unload', model)
      return {}
    }),
  }
}

type Known = Readonly<Record<string, ModelRepositoryParameter['parameterChoice']['case']>>

/**
 * Throws `INPUT_REJECTED` naming every parameter that is not one of these, and a repository that is not there, and
 * `MODEL_FORBIDDEN`.
 */
function modelOf(order: Order, known: Known, caller: Caller): string {
  const issues = repositoryIssues(order.repositoryName)
  for (const [name, { parameterChoice }] of Object.entries(order.parameters)) {
    const at = `parameters.${name.slice(0, 80)}`
    if (!Object.hasOwn(known, name)) issues.push(`${at}: is not known here`)
    else if (parameterChoice.case !== known[name]) issues.push(`${at}: must be a ${known[name]}`)
  }
  throwIfAny(issues)
  const { model } = narrow(inferTargetSchema, { model: order.modelName }, 'the request')
  demandModel(caller, model)
  return model
}

function repositoryIssues(name: string): string[] {
  return name === '' ? [] : ['repository_name: there is one repository here, which has no name']
}

function throwIfAny(issues: readonly string[]): void {
  if (issues.length > 0) throw errors.INPUT_REJECTED({ what: 'the request', issues: issues.slice(0, 20) })
}
