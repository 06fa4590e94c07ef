import { startApp } from './app.js'
import { byId } from './elements.js'

/** What goes wrong is said in the page. */
function say(error: unknown): void {
  const problem = byId('problem', HTMLParagraphElement)
  problem.textContent = error instanceof Error ? error.message : String(error)
  problem.hidden = false
}

addEventListener('unhandledrejection', ({ reason }) => say(reason))

startApp(say).catch(say)
