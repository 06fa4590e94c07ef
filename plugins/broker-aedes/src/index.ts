export { identityOf } from './access.js'
export {
  type AuthenticateDevice,
  type BrokerOptions,
  type BrokerStats,
  type EmbeddedBroker,
  startBroker,
} from './broker.js'
export { entries, errors } from './errors.js'
export { brokerAedes } from './plugin.js'
