/** The element with this id, of a kind. */
export function byId<T extends Element>(id: string, kind: new () => T): T {
  const element = document.getElementById(id)
  if (!(element instanceof kind)) throw new TypeError(`the page has no ${kind.name} #${id}`)
  return element
}

/** A group of choices, one of which is taken. */
export function choices(
  fieldset: HTMLFieldSetElement,
  options: readonly { readonly value: string; readonly text: string; readonly disabled?: boolean }[],
  onChoice: (value: string) => void,
): { readonly value: string; choose(value: string): void } {
  const inputs = options.map(({ value, text, disabled = false }) => {
    const input = Object.assign(document.createElement('input'), { type: 'radio', name: fieldset.id, value, disabled })
    input.addEventListener('change', () => onChoice(value))
    const label = document.createElement('label')
    label.append(input, text)
    fieldset.append(label)
    return input
  })
  return {
    get value() {
      return inputs.find((input) => input.checked)?.value ?? ''
    },
    choose(value) {
      for (const input of inputs) input.checked = input.value === value
    },
  }
}

/** Fills a list of terms and what is said of them. */
export function describeIn(list: HTMLDListElement, entries: Readonly<Record<string, string>>): void {
  list.replaceChildren(
    ...Object.entries(entries).flatMap(([term, text]) => [
      Object.assign(document.createElement('dt'), { textContent: term }),
      Object.assign(document.createElement('dd'), { textContent: text }),
    ]),
  )
}

export const percent = (share: number, digits = 0): string => `${(share * 100).toFixed(digits)}%`
