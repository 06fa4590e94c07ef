import { monitorContract } from '@tideway/test/contract/monitor'
import { createDriftMonitor } from './monitor.js'

const schedule = { alarmRate: 0.001, firstLookRows: 50, segmentRows: 6400 }

monitorContract('monitor-drift', async ({ reports, chunks }) => {
  const monitor = createDriftMonitor({ reports, chunks }, schedule)
  await monitor.start()
  return { monitor }
})
