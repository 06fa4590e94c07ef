import { defineErrors, entry } from '@tideway/core/serving'

/** What the HTTP face says beside the codes of the contracts behind it. */
export const { entries, errors } = defineErrors({
  ROUTE_NOT_FOUND: entry<{ method: string; path: string }>(
    404,
    (d) => `there is no route ${d.method} ${d.path}`,
    'GET /openapi.json lists every route.',
  ),
  METHOD_NOT_ALLOWED: entry<{ method: string; path: string; allow: string }>(
    405,
    (d) => `${d.path} does not answer to ${d.method}`,
    'Use one of the methods in the Allow header.',
  ),
  CONTENT_ENCODING_UNSUPPORTED: entry<{ encoding: string }>(
    415,
    (d) => `the body's content encoding is ${d.encoding}, which is not read here`,
    'Send the body as it is, or encoded with gzip or deflate.',
  ),
  BODY_ENCODING_INVALID: entry<{ what: string }>(
    400,
    (d) => `${d.what} is not what its content encoding says`,
    'Compress it again.',
  ),
  HOST_REFUSED: entry<{ host: string }>(
    403,
    (d) => `a server on loopback without credentials does not answer for host ${d.host}`,
    'Use http://127.0.0.1 or http://localhost, or require credentials.',
  ),
  CORS_UNSAFE: entry(
    400,
    () => 'pages of all origins (*) could change what is here without credentials',
    'Name the origins, or require credentials.',
  ),
  CONTENT_TYPE_UNSUPPORTED: entry<{ contentType: string; expected: string }>(
    415,
    (d) => `the body's content type is ${d.contentType || 'missing'}, expected ${d.expected}`,
    'Set the Content-Type header.',
  ),
  JSON_TOO_DEEP: entry<{ maxDepth: number }>(
    400,
    (d) => `the JSON body is nested more than ${d.maxDepth} levels deep`,
    'Send a flatter document.',
  ),
  REQUEST_ABORTED: entry(400, () => 'the request body ended before it was complete', 'Send it again.'),
  STREAM_STOPPED: entry(
    503,
    () => 'the server stops: the lines before this one were answered, and no others',
    'Send those that are left again.',
  ),
  BODY_STALLED: entry<{ idleMs: number }>(
    408,
    (d) => `nothing more of the request body arrived for ${d.idleMs} ms`,
    'Send it again over a better link.',
  ),
  RANGE_NOT_SATISFIABLE: entry<{ size: number }>(
    416,
    (d) => `the range lies outside the ${d.size} bytes that there are`,
    'Ask for a range within them.',
  ),
  MANIFEST_MODEL_MISMATCH: entry<{ model: string; manifestModel: string }>(
    400,
    (d) => `the manifest is of model ${d.manifestModel}, not of ${d.model}`,
    'Register it under the model that it names.',
  ),
  DESIRED_NOT_SET: entry<{ device: string; fleet: string }>(
    404,
    (d) => `nothing is desired of device ${d.device} in fleet ${d.fleet} yet`,
    'Deploy a version to the fleet with `tideway deploy`.',
  ),
  DEVICE_PATH_MISMATCH: entry<{ device: string; bodyDevices: readonly string[] }>(
    400,
    (d) => `the body speaks for ${d.bodyDevices.join(', ')}, the path for ${d.device}`,
    'A device reports under its own id only.',
  ),
  HTTP_LISTEN_FAILED: entry<{ host: string; port: number; reason: string }>(
    500,
    (d) => `cannot listen on ${d.host}:${d.port} (${d.reason})`,
    'Choose another port (0 takes a free one), or stop what uses it.',
  ),
})
