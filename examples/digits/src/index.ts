export { loadDigits } from './data.js'
export { default as pipeline } from './pipeline.js'
