/**
 * Works on several items at a time and gives the results in the items' order: no more than `atOnce` are begun and not yet
 * taken. A failure is thrown at its place, when those before it have been given; no further item is begun then.
 */
export async function* ordered<T, R>(
  items: AsyncIterable<T>,
  atOnce: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<{ readonly result: R } | { readonly error: unknown }>[] = []
  const taken = async () => {
    const outcome = await (begun.shift() as (typeof begun)[number])
    if ('error' in outcome) throw outcome.error
    return outcome.result
  }
  for await (const item of items) {
    begun.push(
      work(item).then(
        (result) => ({ result }),
        (error: unknown) => ({ error }),
      ),
    )
    if (begun.length >= atOnce) yield await taken()
  }
  while (begun.length > 0) yield await taken()
}
