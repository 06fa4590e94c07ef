type Outcome<T> = { readonly value: T } | { readonly error: unknown }

const outcome = <T>(promise: Promise<T>): Promise<Outcome<T>> =>
  promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )

/**
 * Works on several items at a time and gives the results in the items' order, each as soon as it and those before it are there.
 * No more than `atOnce` items are begun and not yet taken, so that a slow taker slows down the source. A failure is thrown at its
 * place, after the results before it; no further item is begun then.
 *
 * @example
 * for await (const answer of ordered(batches, 4, (batch) => ask(batch))) save(answer)
 */
export async function* ordered<T, R>(
  items: AsyncIterable<T> | Iterable<T>,
  atOnce: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const iterator = iteratorOf(items)
  const begun: Promise<Outcome<R>>[] = []
  let coming: Promise<Outcome<IteratorResult<T>>> | undefined
  let end: { readonly error?: unknown } | undefined
  try {
    for (;;) {
      if (end === undefined && begun.length < atOnce) coming ??= outcome(Promise.resolve(iterator.next()))
      const head = begun[0]
      if (head === undefined && coming === undefined) break
      const [result, item] = await Promise.race([
        ...(head === undefined ? [] : [head.then((done) => [done, undefined] as const)]),
        ...(coming === undefined ? [] : [coming.then((next) => [undefined, next] as const)]),
      ])
      if (result) {
        void begun.shift()
        if ('error' in result) throw result.error
        yield result.value
      }
      if (item) {
        coming = undefined
        if ('error' in item) end = item
        else if (item.value.done) end = {}
        else begun.push(outcome(work(item.value.value)))
      }
    }
    if (end && 'error' in end) throw end.error
  } finally {
    // Not waited for: a source that waits for its next item ends when that comes.
    void Promise.resolve(iterator.return?.()).catch(() => undefined)
  }
}

function iteratorOf<T>(items: AsyncIterable<T> | Iterable<T>): AsyncIterator<T> | Iterator<T> {
  return Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
}
