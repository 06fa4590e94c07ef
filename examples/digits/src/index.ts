export { default as convPipeline } from './conv-pipeline.js'
export { loadDigitImages, loadDigits } from './data.js'
export { default as pipeline } from './pipeline.js'
