import { describe } from 'vitest'
import { describeWithServer } from './servers.js'

/** The same suite on the embedded transport and, where a nats-server is installed, on NATS: then with its path. */
export function onBothTransports(suite: (natsServer: string | undefined) => void): void {
  describe('embedded (MQTT and HTTP)', () => suite(undefined))
  describeWithServer('nats-server', 'NATS', (path) => suite(path))
}
