import { writeFile } from 'node:fs/promises'
import { errorsPage } from './catalogues.js'

/** `npm run docs`: writes the generated pages. */
await writeFile(new URL('../../../docs/errors.md', import.meta.url), errorsPage())
