import { writeFile } from 'node:fs/promises'
import { engines } from './engines/index.js'
import { GOLDEN } from './models.js'
import { enginesPage } from './page.js'
import { runGolden } from './run.js'

/** `npm run golden`: runs the golden set on every engine that is here and writes docs/engines.md; exits 1 out of tolerance. */
const cleanups: (() => Promise<void>)[] = []
try {
  const outcomes = await runGolden({
    models: Object.keys(GOLDEN) as (keyof typeof GOLDEN)[],
    engines,
    onFinished: (clean) => void cleanups.unshift(clean),
    progress: (line) => console.error(line),
  })
  await writeFile(new URL('../../../docs/engines.md', import.meta.url), enginesPage(outcomes))
  const bad = outcomes.flatMap(({ models }) => [...models.values()]).filter((one) => 'within' in one && !one.within)
  process.exitCode = bad.length === 0 ? 0 : 1
} finally {
  for (const clean of cleanups) await clean()
}
