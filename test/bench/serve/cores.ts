/** A command on some cores only, where the system can do that; `undefined`: on all. */
export const onCores = (cores: string | undefined, command: readonly string[]): readonly string[] =>
  cores === undefined || process.platform !== 'linux' ? command : ['taskset', '-c', cores, ...command]
