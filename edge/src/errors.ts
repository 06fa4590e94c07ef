import { defineErrors, entry } from '@tideway/core'

/** What can go wrong on a device, beside the codes that all packages share. */
export const { entries, errors } = defineErrors({
  EDGE_DIR_OTHER_DEVICE: entry<{ dir: string; owner: string; device: string }>(
    409,
    (d) => `${d.dir} belongs to device ${d.owner}, this is ${d.device}`,
    'Give every device its own --dir; to reuse this one, empty it first.',
  ),
  EDGE_DIR_LOCKED: entry<{ dir: string; pid: number }>(
    409,
    (d) => `${d.dir} is in use by process ${d.pid}`,
    'Stop that agent, or give this one another --dir.',
  ),
  EDGE_DISK_FULL: entry<{ path: string }>(
    507,
    (d) => `the disk is full: ${d.path} could not be written`,
    'Free some space; what is active goes on, and the update is tried again.',
  ),
  EDGE_DISK_READ_ONLY: entry<{ path: string }>(
    507,
    (d) => `${d.path} cannot be written: read-only, or not ours`,
    'Make it writable; what is active goes on, and the update is tried again.',
  ),
  EDGE_STORE_CORRUPT: entry<{ sha256: string; chunks: number }>(
    500,
    (d) => `file ${d.sha256} does not come out of the chunks on disk (${d.chunks} of them were altered)`,
    'The altered chunks were removed and are fetched again.',
  ),
  EDGE_CLOSED: entry(409, () => 'this edge is closed', 'Create it again.'),
  MODEL_NOT_ACTIVE: entry<{ model: string }>(
    404,
    (d) => `no version of model ${d.model} is active on this device`,
    'Deploy one with `tideway deploy`, and see `edge.status()` for what became of it.',
  ),
  MODEL_AMBIGUOUS: entry<{ models: readonly string[] }>(
    400,
    (d) =>
      d.models.length === 0 ? 'no model is active on this device' : `several models are active: ${d.models.join(', ')}`,
    'Name one: edge.model(name).infer(inputs).',
  ),
  MODEL_DIGEST_MISMATCH: entry<{ sha256: string; actual: string }>(
    422,
    (d) => `the file's chunks are right, but together they are ${d.actual} and not ${d.sha256}`,
    'The manifest is wrong: publish the version again.',
  ),
  MANIFEST_OTHER_MODEL: entry<{ model: string; manifest: string }>(
    422,
    (d) => `the manifest wanted for model ${d.model} is one of model ${d.manifest}`,
    'Deploy a version of the same model.',
  ),
  VARIANT_UNSUPPORTED: entry<{
    variants: readonly string[]
    formats: readonly string[]
    precisions: readonly string[]
  }>(
    422,
    (d) =>
      `none of the variants ${d.variants.join(', ')} fits a runtime for ${d.formats.join(', ')} in ` +
      d.precisions.join(', '),
    'Publish a variant that this device can run, or give it another runtime.',
  ),
  KNOWN_ANSWERS_MISMATCH: entry<{ output: string; row: number; difference: number; tolerance: number; reason: string }>(
    422,
    (d) => `known answer ${d.row} of output ${d.output} does not come out: ${d.reason}`,
    'This device computes other values than the cloud did: the version was not activated.',
  ),
  CHUNK_FETCH_FAILED: entry<{ sha256: string; attempts: number }>(
    503,
    (d) => `chunk ${d.sha256} did not arrive in ${d.attempts} attempts`,
    'Check the link; it is tried again, and what has arrived is kept.',
  ),
  CHUNK_TIMEOUT: entry<{ sha256: string; timeoutMs: number }>(
    504,
    (d) => `chunk ${d.sha256} did not arrive within ${d.timeoutMs} ms`,
    'The link is slower than it was; the next attempt waits longer.',
  ),
  DESIRED_EXPIRED: entry<{ generation: number; expiresAt: string }>(
    410,
    (d) => `desired state ${d.generation} expired at ${d.expiresAt}`,
    'Deploy again; the device stays on what it runs.',
  ),
  REPORT_TOO_LARGE: entry<{ kind: string; bytes: number; maxBytes: number }>(
    413,
    (d) => `a report of kind ${d.kind} has ${d.bytes} bytes; the limit is ${d.maxBytes}`,
    'Choose fewer statistics in the profile schema.',
  ),
  EDGE_ROUTE_NOT_FOUND: entry<{ method: string; path: string }>(
    404,
    (d) => `there is no ${d.method} ${d.path}`,
    'The doors are POST /v2/models/{model}/infer, GET /v2/models/{model}, GET /v2/health/ready, GET /v1/status, POST /v1/flush.',
  ),
  EDGE_ORIGIN_REFUSED: entry<{ header: string }>(
    403,
    (d) => `the ${d.header} header names another machine`,
    'This door is for programs on the device: use http://127.0.0.1.',
  ),
  EDGE_OPTIONS_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `options are not valid: ${d.issues.join('; ')}`,
    'Correct the named options; see `tideway-edge run --help`.',
  ),
})
