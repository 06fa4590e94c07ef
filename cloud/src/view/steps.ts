import spinner from 'yocto-spinner'

/** Tells a person how far a command is, on standard error. */
export interface Steps {
  say(line: string): void
  /** A line that moves while the work lasts, on a terminal; elsewhere just the line. */
  during<T>(line: string, work: () => Promise<T>): Promise<T>
  /** The same on a terminal; elsewhere nothing. */
  waiting<T>(line: string, work: () => Promise<T>): Promise<T>
}

export const steps: Steps = {
  say: (line) => void process.stderr.write(`${line}\n`),
  async during(line, work) {
    if (!process.stderr.isTTY) {
      process.stderr.write(`${line}\n`)
      return work()
    }
    const moving = spinner({ text: line, stream: process.stderr }).start()
    try {
      const result = await work()
      moving.success()
      return result
    } catch (error) {
      moving.error()
      throw error
    }
  },
  waiting: (line, work) => (process.stderr.isTTY ? steps.during(line, work) : work()),
}
