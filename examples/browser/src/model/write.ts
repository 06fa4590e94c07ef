import { writeFiles } from './files.js'
import { trainDigits } from './train.js'

/** `node dist/model/write.js DIR`: trains the model of the page and writes its files into a folder. */
const dir = process.argv[2]
if (dir === undefined) throw new Error('Say into which folder: node dist/model/write.js DIR')

const EPOCHS = 8
let told = 0
const trained = await trainDigits({
  epochs: EPOCHS,
  onProgress({ epoch, metrics }) {
    const accuracy = metrics['valAccuracy']
    if (accuracy === undefined || epoch === told) return
    told = epoch
    console.log(`epoch ${epoch} of ${EPOCHS}: ${(accuracy * 100).toFixed(2)}% of digits not trained on`)
  },
})
const { accuracy, testRows, bytes } = await writeFiles(dir, trained)
const size = (bytes / 1024).toFixed(0)
console.log(`${dir}: ${(accuracy * 100).toFixed(2)}% of ${testRows} digits it has not seen, ${size} KB`)
