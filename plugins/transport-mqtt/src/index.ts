export { type CloudMqttOptions, connectCloudMqtt } from './cloud.js'
export { connectEdgeMqtt, type EdgeMqttOptions } from './edge.js'
export { entries, errors } from './errors.js'
export { transportMqtt } from './plugin.js'
