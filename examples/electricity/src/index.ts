export { loadElectricity } from './data.js'
export { default as pipeline } from './pipeline.js'
