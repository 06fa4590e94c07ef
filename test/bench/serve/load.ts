import autocannon from 'autocannon'

/** A request, over and over. */
export interface Load {
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly connections: number
  readonly seconds: number
  /** Requests a second in all; left out: as many as are answered. */
  readonly rate?: number
}

export interface Answered {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Answers that were none, or no 2xx. */
  readonly failed: number
}

/** Asks a server from this process for so long. */
export async function ask({ url, headers, body, connections, seconds, rate }: Load): Promise<Answered> {
  const result = await autocannon({
    url,
    method: 'POST',
    headers: { ...headers },
    body,
    connections,
    duration: seconds,
    ...(rate !== undefined && { overallRate: rate }),
  })
  const { latency, duration, errors, non2xx } = result
  return {
    perSecond: result['2xx'] / duration,
    p50Ms: latency.p50,
    p99Ms: latency.p99,
    failed: errors + non2xx,
  }
}
