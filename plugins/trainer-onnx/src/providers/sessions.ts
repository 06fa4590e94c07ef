import { firstLine, PROBE } from '@tideway/core'
import { InferenceSession } from 'onnxruntime-node'
import { operatorsOnCpu } from './placement.js'
import { CPU, checkName, type Provider, sessionOptions, unavailable } from './provider.js'
import { type Trial, tryOut } from './try-out.js'

/**
 * A provider's device goes with its last session, and with it every kernel that was compiled for it, which the next run
 * would wait for again: the smallest of sessions keeps it, by provider, as long as the process.
 */
const kept = new Map<string, Promise<InferenceSession>>()

function keep(provider: Provider): Promise<InferenceSession> {
  const { main } = provider
  const known = kept.get(main)
  if (known !== undefined) return known
  const opened = InferenceSession.create(PROBE, sessionOptions({ ...provider, whole: main !== CPU }, 1))
  kept.set(main, opened)
  // A GPU may come later.
  opened.catch(() => kept.delete(main))
  return opened
}

/** The sessions of one run on one provider. What cannot be loaded is `PROVIDER_UNAVAILABLE`, with the reason. */
export class ProviderSessions {
  private readonly open: InferenceSession[] = []
  /** Operators that run on the CPU, of a provider that may have its help. */
  readonly onCpu = new Set<string>()

  private constructor(
    readonly provider: Provider,
    private readonly threads: number,
  ) {}

  /** Throws for a provider that is not here: one that does not take the smallest of models. */
  static async start(provider: Provider, threads: number): Promise<ProviderSessions> {
    checkName(provider)
    await keep(provider).catch((cause: unknown) => {
      throw unavailable(provider, wordsOf(cause), cause)
    })
    return new ProviderSessions(provider, threads)
  }

  /** `stay`: outputs stay in the provider's memory, if it can hold them. */
  async create(model: Uint8Array, { stay = false } = {}): Promise<InferenceSession> {
    const { provider, threads } = this
    const session = await InferenceSession.create(model, {
      ...sessionOptions(provider, threads),
      ...(stay && provider.holds && { preferredOutputLocation: 'gpu-buffer' as const }),
    }).catch(async (cause: unknown) => {
      throw unavailable(provider, await this.whyNot(model, cause), cause)
    })
    this.open.push(session)
    return session
  }

  /** Runs a session once, on the provider and on the CPU; notes which operators run on the CPU, where they may. */
  async tryOut(trial: Trial): Promise<void> {
    const { provider, threads } = this
    const wrong = await tryOut(trial).catch((cause: unknown) => {
      throw unavailable(provider, `a step fails on it: ${wordsOf(cause)}`, cause)
    })
    if (wrong !== undefined)
      throw unavailable(provider, `a kernel of it is wrong: after one step ${wrong} is not what it is on the CPU`)
    if (provider.whole) return
    for (const operator of await operatorsOnCpu(trial.model, provider, threads)) this.onCpu.add(operator)
  }

  async release(): Promise<void> {
    for (const session of this.open.splice(0)) await session.release()
  }

  /** The operators without a kernel, by their names, where the CPU would take them. */
  private async whyNot(model: Uint8Array, cause: unknown): Promise<string> {
    const { provider, threads } = this
    if (!provider.whole) return wordsOf(cause)
    const missing = await operatorsOnCpu(model, provider, threads).catch(() => [])
    if (missing.length === 0) return wordsOf(cause)
    return `it has no kernel for ${missing.join(', ')}, which ${provider.main}+cpu runs on the CPU`
  }
}

/** Without the engine's source lines. */
const wordsOf = (cause: unknown): string => firstLine(cause).replace(/^\S*onnxruntime_src\S* .* was false\. /, '')
