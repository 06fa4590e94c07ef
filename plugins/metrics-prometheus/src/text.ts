import type { MetricLabels, MetricReading, MetricSample } from '@tideway/core'

export type Form = 'prometheus' | 'openmetrics'

export const CONTENT_TYPES: Readonly<Record<Form, string>> = {
  prometheus: 'text/plain; version=0.0.4; charset=utf-8',
  openmetrics: 'application/openmetrics-text; version=1.0.0; charset=utf-8',
}

/** OpenMetrics where it is asked for by name, as Prometheus does; else its older text, which everything reads. */
export function formFor(accept = ''): Form {
  return /\bapplication\/openmetrics-text\b/i.test(accept) ? 'openmetrics' : 'prometheus'
}

/**
 * Readings in one of Prometheus's two text forms ("Exposition formats" of its documentation; the OpenMetrics
 * specification 1.0). Written here since prom-client's registry knows one form only: read in the other, it renames its
 * metrics for good. OpenMetrics alone has exemplars; a counter without `_total` in its name, as Triton's are, is
 * none there, and is told as of unknown type so that its name stays.
 */
export function write(readings: readonly MetricReading[], form: Form): string {
  const lines = readings.flatMap((reading) => {
    const { name, type } = form === 'openmetrics' ? openMetricsOf(reading) : reading
    const help = escaped(reading.help).replaceAll('"', form === 'openmetrics' ? '\\"' : '"')
    return [
      `# HELP ${name} ${help}`,
      `# TYPE ${name} ${type}`,
      ...reading.samples.map((sample) => line(reading.name, sample, form)),
    ]
  })
  return `${lines.join('\n')}\n${form === 'openmetrics' ? '# EOF\n' : ''}`
}

function openMetricsOf({ name, type }: MetricReading): { name: string; type: string } {
  if (type !== 'counter') return { name, type }
  return name.endsWith('_total') ? { name: name.slice(0, -'_total'.length), type } : { name, type: 'unknown' }
}

function line(name: string, { suffix, labels, value, exemplar }: MetricSample, form: Form): string {
  const plain = `${name}${suffix}${block(labels)} ${numberText(value)}`
  if (exemplar === undefined || form !== 'openmetrics') return plain
  return `${plain} # ${block({ trace_id: exemplar.traceId })} ${numberText(exemplar.value)} ${exemplar.at.toFixed(3)}`
}

function block(labels: MetricLabels): string {
  const parts = Object.entries(labels).map(
    ([name, value]) =>
      `${name}="${typeof value === 'number' ? numberText(value) : escaped(value).replaceAll('"', '\\"')}"`,
  )
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function numberText(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  return String(value)
}
