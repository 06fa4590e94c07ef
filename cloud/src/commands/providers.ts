import { InvalidArgumentError } from 'commander'

export const PROVIDERS_HELP =
  'execution providers for training, tried in this order: cpu, webgpu, cuda, coreml, dml, these with +cpu, or auto (default: cpu)'

/** Names with commas between them; which of them there are is the engine's to know. */
export function parseNames(text: string): string[] {
  const names = text.split(',').map((name) => name.trim())
  if (names.includes('')) throw new InvalidArgumentError('names with commas between them')
  return names
}
