import { create, createFileRegistry, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { status } from '@grpc/grpc-js'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from '../generated/reflection_pb.js'
import { type Rig, startRig } from '../rig.fixture.js'

type Asked = MessageInitShape<typeof ServerReflectionRequestSchema>['messageRequest']

let rig: Rig
beforeAll(async () => {
  rig = await startRig({})
})
afterAll(() => rig?.stop())

/** What one stream is answered, one by one. */
async function ask(version: string, ...all: Asked[]): Promise<ServerReflectionResponse['messageResponse'][]> {
  const call = rig.stream(`/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`)
  for (const messageRequest of all)
    call.write(
      toBinary(ServerReflectionRequestSchema, create(ServerReflectionRequestSchema, { host: 'h', messageRequest })),
    )
  call.end()
  const answers: ServerReflectionResponse[] = []
  for await (const bytes of call) answers.push(fromBinary(ServerReflectionResponseSchema, bytes as Buffer))
  expect(answers.every(({ validHost }) => validHost === 'h')).toBe(true)
  return answers.map(({ messageResponse }) => messageResponse)
}

it.each(['v1', 'v1alpha'])('lists the services (%s)', async (version) => {
  const [answer] = await ask(version, { case: 'listServices', value: '*' })
  expect(answer).toMatchObject({
    case: 'listServicesResponse',
    value: {
      service: [
        { name: 'inference.GRPCInferenceService' },
        { name: 'grpc.health.v1.Health' },
        { name: 'grpc.reflection.v1.ServerReflection' },
      ],
    },
  })
})

it.each([
  ['a service', 'inference.GRPCInferenceService'],
  ['a method', 'inference.GRPCInferenceService.ModelInfer'],
  ['a message', 'inference.ModelInferRequest.InferInputTensor'],
  ['an enumeration', 'grpc.health.v1.HealthCheckResponse.ServingStatus'],
])('describes %s by the file that has it', async (_, symbol) => {
  const [answer] = await ask('v1', { case: 'fileContainingSymbol', value: symbol })
  if (answer?.case !== 'fileDescriptorResponse') return expect.fail(`answered ${answer?.case}`)
  const file = answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes))
  const registry = createFileRegistry(create(FileDescriptorSetSchema, { file }))
  const [typeName, method] = symbol.endsWith('.ModelInfer')
    ? [symbol.slice(0, -'.ModelInfer'.length), 'ModelInfer']
    : [symbol, undefined]
  const found = registry.get(typeName)
  expect(found?.typeName).toBe(typeName)
  if (method !== undefined)
    expect(found?.kind === 'service' && found.methods.some(({ name }) => name === method)).toBe(true)
})

it('gives a file by its name, and says what is not here, on one stream', async () => {
  const answers = await ask(
    'v1',
    { case: 'fileByFilename', value: 'health.proto' },
    { case: 'fileContainingSymbol', value: 'some.Other' },
    { case: 'allExtensionNumbersOfType', value: 'inference.ModelInferRequest' },
    { case: undefined },
  )
  expect(answers.map((answer) => answer.case)).toEqual([
    'fileDescriptorResponse',
    'errorResponse',
    'errorResponse',
    'errorResponse',
  ])
  expect(answers.slice(1).map((answer) => answer.case === 'errorResponse' && answer.value.errorCode)).toEqual([
    status.NOT_FOUND,
    status.NOT_FOUND,
    status.INVALID_ARGUMENT,
  ])
})
