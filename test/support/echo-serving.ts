import { checkInputs, errors, type InferTiming, type Serving, type Signature, type TensorSpec } from '@tideway/core'

/** A model named `echo`, versions 1 and 3, that answers what it is given, if its signature allows. */
export interface EchoServing extends Required<Serving> {
  /** What it takes and gives from now on. */
  takes(...inputs: TensorSpec[]): void
  /** What it says of how it ran; nothing unless set. */
  timing: InferTiming | undefined
}

const VERSION = { model: 'echo', manifestDigest: '0'.repeat(64), createdAt: '2026-01-01T00:00:00.000Z' }
const NUMBERS: Readonly<Record<string, number>> = { '1': 1, '3': 3, latest: 3 }

export function echoServing(): EchoServing {
  let signature: Signature = { inputs: [], outputs: [] }
  let loaded = true

  function resolve(model: string, wanted: string) {
    if (model !== 'echo') throw errors.MODEL_NOT_FOUND({ model })
    const version = NUMBERS[wanted]
    if (version === undefined) throw errors.VERSION_NOT_FOUND({ model, version: wanted })
    return { version, ...VERSION }
  }

  function serve(model: string, wanted: string) {
    const version = resolve(model, wanted)
    if (!loaded) throw errors.MODEL_UNLOADED({ model })
    return version
  }

  return {
    timing: undefined,
    takes(...inputs) {
      signature = { inputs, outputs: inputs }
    },
    versionOf: async (model, wanted = 'latest') => resolve(model, wanted),
    async metadata(model, wanted = 'latest') {
      return { version: serve(model, wanted), versions: ['1', '3'], platform: 'echo', signature }
    },
    async infer(model, wanted = 'latest', inputs) {
      const version = serve(model, wanted)
      checkInputs(signature, inputs)
      return { version, outputs: inputs, timing: this.timing }
    },
    hasPolicy: () => false,
    cacheTotals: () => undefined,
    async index() {
      const state = loaded ? ('ready' as const) : ('unavailable' as const)
      const reason = loaded ? '' : 'unloaded'
      return ['1', '3'].map((version) => ({ model: 'echo', version, state, reason }))
    },
    async load(model) {
      resolve(model, 'latest')
      loaded = true
    },
    async unload(model) {
      resolve(model, 'latest')
      loaded = false
    },
  }
}

/** An input of a type; any shape of one dimension unless one is given. */
export function specOf(name: string, dtype: TensorSpec['dtype'], shape: TensorSpec['shape'] = [null]): TensorSpec {
  return { name, dtype, shape }
}
