import { afterAll, beforeAll, expect, it } from 'vitest'
import { FLEET, type Loop, START_MS, startLoop, type TestDevice } from '../support/loop.js'
import { onBothTransports } from '../support/transports.js'
import { registerVersion, type TestVersion } from '../support/version.js'

const SWITCHES = 20
const CLIENTS = 3

onBothTransports((natsServer) => {
  let loop: Loop
  let device: TestDevice
  const versions: TestVersion[] = []

  beforeAll(async () => {
    loop = await startLoop({ natsServer })
    device = await loop.device({ device: 'till-1' })
    for (let seed = 1; seed <= 4; seed++) versions.push(await registerVersion(loop.client, 'line', { seed }))
    await switchTo(versions[0]!)
  }, START_MS)
  afterAll(() => loop?.close())

  async function switchTo(version: TestVersion): Promise<void> {
    await loop.client.deploy({ model: 'line', version: version.version.version, fleet: FLEET })
    await device.untilActive(version)
  }

  /** The version that gave this answer; their answers differ by more than 0.5. */
  function giverOf(answer: readonly number[]): TestVersion | undefined {
    return versions.find((version) => answer.every((value, i) => Math.abs(value - version.answer[i]!) < 0.01))
  }

  it(`answers every request while versions switch ${SWITCHES} times`, { timeout: 300_000 }, async () => {
    const body = JSON.stringify({
      inputs: [{ name: 'x', shape: [1, 8], datatype: 'FP32', data: Array.from(versions[0]!.input) }],
    })
    const ask = async () => {
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(`${device.url}/v2/models/line/infer`, { method: 'POST', headers, body })
      return { status: response.status, text: await response.text() }
    }
    let done = false
    let asked = 0
    const givers = new Set<number>()
    const wrong: string[] = []
    const client = async () => {
      while (!done) {
        asked += 1
        const { status, text } = await ask().catch((error: unknown) => ({ status: 0, text: String(error) }))
        if (status !== 200) {
          wrong.push(`${status} ${text}`)
          continue
        }
        const answer = JSON.parse(text) as { model_version: string; outputs: { data: number[] }[] }
        const giver = giverOf(answer.outputs[0]!.data)?.version.version
        if (giver === undefined || String(giver) !== answer.model_version) wrong.push(text)
        else givers.add(giver)
      }
    }
    const clients = Array.from({ length: CLIENTS }, client)
    try {
      for (let i = 1; i <= SWITCHES; i++) await switchTo(versions[i % versions.length]!)
    } finally {
      done = true
      await Promise.all(clients)
    }
    expect(wrong).toEqual([])
    expect(asked).toBeGreaterThan(SWITCHES * CLIENTS)
    expect(givers.size).toBe(versions.length)
    const { line } = (await device.status()).models
    expect(line).toMatchObject({ errors: 0, inferences: asked })
  })
})
