import { fileURLToPath } from 'node:url'
import type { JobRecord } from '@tideway/core'
import { expect, it } from 'vitest'
import { startTideway } from '../support/command.js'
import { type Loop, startLoop } from '../support/loop.js'
import { eventually, type RunningProcess } from '../support/process.js'
import { describeWithServer } from '../support/servers.js'
import { train } from '../support/traffic.js'

const LONG = fileURLToPath(new URL('fixtures/long.ts', import.meta.url))
const ACK_WAIT_SECONDS = 3

describeWithServer('nats-server', 'two trainer nodes', (natsServer) => {
  it.concurrent('one SIGKILLed mid-epoch: the other finishes its job from the checkpoint, to the very same bytes', async () => {
    const loop = await startLoop({ natsServer, roles: ['api', 'monitor', 'controller'] })
    try {
      const nodes = { first: await startNode(loop, 'first'), second: await startNode(loop, 'second') }
      const training = train(loop.cloud.url, LONG)
      training.catch(() => undefined)
      const running = await untilJob(loop, ({ checkpoint }) => (checkpoint?.epoch ?? 0) > 0)
      const worker = running.worker as keyof typeof nodes
      const other = worker === 'first' ? 'second' : 'first'
      await nodes[worker].kill('SIGKILL')

      const { version, created } = await training
      const job = await loop.client.job(running.id)
      expect(job).toMatchObject({ status: 'finished', worker: other })
      const taken = JSON.parse(await nodes[other].waitForLine(/"job taken"/)) as { job: string; checkpoint: number }
      expect(taken.job).toBe(running.id)
      expect(taken.checkpoint).toBeGreaterThanOrEqual(running.checkpoint!.epoch)
      expect(created).toBe(true)

      const undisturbed = await train(loop.cloud.url, LONG)
      expect(undisturbed).toMatchObject({ created: false, version })
      expect(undisturbed.job).not.toBe(job.id)
      // Nothing of the killed node's job is left in the queue.
      await nodes[other].kill()
      expect(nodes[other].lines.filter((line) => line.includes('"job taken"'))).toHaveLength(2)
    } finally {
      await loop.close()
    }
  }, 300_000)

  it.concurrent('one stopped hands its job back, and the other goes on from the checkpoint at once', async () => {
    const loop = await startLoop({ natsServer, roles: ['api', 'monitor', 'controller'] })
    try {
      const first = await startNode(loop, 'first', 60)
      const training = train(loop.cloud.url, LONG)
      training.catch(() => undefined)
      await untilJob(loop, ({ checkpoint }) => (checkpoint?.epoch ?? 0) > 0)
      const second = await startNode(loop, 'second', 60)
      await first.kill('SIGTERM')
      expect(await first.exited).toBe(0)
      // Long before the 60 s after which its silence would tell.
      const taken = JSON.parse(await second.waitForLine(/"job taken"/, 120_000)) as { checkpoint: number }
      expect(taken.checkpoint).toBeGreaterThan(0)
      expect((await training).created).toBe(true)
    } finally {
      await loop.close()
    }
  }, 300_000)
})

async function startNode(loop: Loop, name: string, ackWaitSeconds = ACK_WAIT_SECONDS): Promise<RunningProcess> {
  const wire = ['--nats', loop.nats!.url, '--cloud', loop.cloud.url, '--ack-wait', String(ackWaitSeconds)]
  const often = ['--checkpoint-every', '0.2']
  const node = startTideway(['trainer', ...wire, ...often, '--name', name, '--json'])
  loop.defer(() => node.kill('SIGKILL'))
  await node.waitForLine(/^\{"ready":true/)
  return node
}

async function untilJob(loop: Loop, check: (job: JobRecord) => boolean): Promise<JobRecord> {
  return eventually(
    'the job to be as far as that',
    async () => {
      const [job] = await loop.client.jobs()
      if (job?.status === 'finished' || job?.status === 'failed')
        throw new Error(`it ${job.status} too early: ${JSON.stringify(job.error)}`)
      return job !== undefined && check(job) ? job : undefined
    },
    300_000,
  )
}
