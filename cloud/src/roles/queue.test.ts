import { jobQueueContract } from '@tideway/test/contract/job-queue'
import { createLocalQueue } from './queue.js'

jobQueueContract('the queue inside the cloud process', {
  async setup() {
    const queue = createLocalQueue()
    return { claimMs: 20, open: async () => queue, close: async () => undefined }
  },
  exceptions: { vanished: 'its workers live and die with its process' },
})
