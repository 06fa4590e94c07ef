import { isLoopback } from './contracts/access.js'
import { defineErrors, entry } from './errors/error.js'

/** What a service is to who asks for it; one that is not here is told by its name. */
const SERVICES: Readonly<Record<string, string>> = {
  registry: 'a registry of models',
  chunkStore: 'the store of what was registered',
  deviceStore: 'devices',
  reportStore: 'reports of drift',
  runStore: 'training runs',
  auditLog: 'an audit log',
  controller: 'deployments to devices',
  serving: 'models that answer',
  traffic: 'traffic policies',
  abTests: 'A/B tests',
  jobs: 'training jobs',
  intake: 'reports of devices',
  monitor: 'the drift monitor',
  wire: 'a broker for devices',
  access: 'a store of API keys',
  keys: 'a store of API keys',
}

const inWords = (service: string) => (Object.hasOwn(SERVICES, service) ? SERVICES[service] : service)

/** Errors of the nouns, the wire, plugins and configuration, and those that several implementations share. */
export const { entries, errors } = defineErrors({
  NAME_INVALID: entry<{ noun: string; name: string }>(
    400,
    (d) => `${JSON.stringify(d.name.slice(0, 80))} is not a valid ${d.noun} id`,
    'Use 1 to 63 of a-z, 0-9, "_" and "-", beginning with a letter or digit.',
  ),
  INPUT_REJECTED: entry<{ what: string; issues: readonly string[] }>(
    400,
    (d) => `${d.what} is not valid: ${d.issues.join('; ')}`,
    'Correct the named fields.',
  ),
  NETWORK_TOO_LARGE: entry<{ what: 'parameters' | 'elements'; count: number; limit: number; layer?: string }>(
    413,
    (d) =>
      d.what === 'parameters'
        ? `the network has ${d.count} parameters; the limit is ${d.limit}`
        : `layer ${d.layer} gives ${d.count} numbers a row; the limit is ${d.limit}`,
    'Use fewer units or filters, or pool earlier.',
  ),
  JSON_INVALID: entry<{ what: string; bytes: number }>(
    400,
    (d) => `${d.what} (${d.bytes} bytes) is not JSON`,
    'Send one JSON document in UTF-8.',
  ),
  TOO_LARGE: entry<{ what: string; bytes: number; maxBytes: number }>(
    413,
    (d) => `${d.what} has at least ${d.bytes} bytes; the limit is ${d.maxBytes}`,
    'Send less, or raise the limit in the configuration: of bodies over HTTP in `http.limits`.',
  ),
  WIRE_VERSION_UNSUPPORTED: entry<{ what: string; v: number; supported: readonly number[] }>(
    400,
    (d) => `${d.what} has version ${d.v}; this side reads ${d.supported.join(', ')}`,
    'Update the older side.',
  ),
  MANIFEST_TOO_LARGE: entry<{ bytes: number; maxBytes: number }>(
    413,
    (d) => `the manifest has ${d.bytes} bytes; the limit is ${d.maxBytes}`,
    'Publish fewer variants, or larger chunks.',
  ),
  CHUNK_DIGEST_MISMATCH: entry<{ sha256: string; actual: string; bytes: number }>(
    422,
    (d) => `chunk ${d.sha256} arrived as ${d.bytes} bytes with digest ${d.actual}`,
    'The store or the link altered it: nothing was activated; publish the version again.',
  ),
  CHUNK_NOT_FOUND: entry<{ sha256: string }>(
    404,
    (d) => `chunk ${d.sha256} is not there`,
    'Publish the version again, or check that its chunks were not collected.',
  ),
  BLOB_NOT_FOUND: entry<{ sha256: string }>(404, (d) => `blob ${d.sha256} is not there`, 'Upload it first.'),
  BLOB_DIGEST_MISMATCH: entry<{ sha256: string; actual: string; bytes: number }>(
    422,
    (d) => `blob ${d.sha256} arrived as ${d.bytes} bytes with digest ${d.actual}`,
    'Upload it again under the digest of its bytes.',
  ),
  MODEL_NOT_FOUND: entry<{ model: string }>(
    404,
    (d) => `model ${d.model} is not registered`,
    'List models with `tideway models`.',
  ),
  MODEL_UNLOADED: entry<{ model: string }>(
    404,
    (d) => `model ${d.model} was unloaded in this process`,
    'Load it again: POST /v2/repository/models/<model>/load.',
  ),
  VERSION_NOT_FOUND: entry<{ model: string; version: string }>(
    404,
    (d) => `model ${d.model} has no version or alias ${d.version}`,
    'List versions with `tideway models`.',
  ),
  TRAFFIC_REFUSED: entry<{ model: string; issues: readonly string[] }>(
    409,
    (d) => `the traffic policy of model ${d.model} cannot be honoured: ${d.issues.join('; ')}`,
    'Correct what is named; the policy before goes on.',
  ),
  TRAFFIC_CHANGED: entry<{ model: string }>(
    409,
    (d) => `the traffic policy of model ${d.model} was changed by someone else meanwhile`,
    'Look at it again (`tideway traffic show`), then set it again.',
  ),
  TRAFFIC_UNDER_TEST: entry<{ model: string; test: string }>(
    409,
    (d) => `the traffic of model ${d.model} belongs to the A/B test ${d.test}`,
    'End the test first: `tideway ab promote` or `tideway ab stop`.',
  ),
  AB_TEST_RUNNING: entry<{ model: string; test: string }>(
    409,
    (d) => `model ${d.model} has an A/B test that runs (${d.test})`,
    'End it first: `tideway ab promote` or `tideway ab stop`.',
  ),
  AB_TEST_NOT_FOUND: entry<{ model: string }>(
    404,
    (d) => `model ${d.model} has no A/B test`,
    'Start one with `tideway ab start`.',
  ),
  AB_TEST_ENDED: entry<{ model: string; test: string; status: string }>(
    409,
    (d) => `the A/B test ${d.test} of model ${d.model} has ended (${d.status})`,
    'Start another one with `tideway ab start`.',
  ),
  AB_TEST_NOT_DECIDED: entry<{ model: string; test: string; result: string; reason: string }>(
    409,
    (d) => `the A/B test ${d.test} of model ${d.model} says ${d.result}: ${d.reason}`,
    'Wait for more outcomes, end it with `tideway ab stop`, or promote with --force.',
  ),
  DEVICE_NOT_FOUND: entry<{ device: string }>(
    404,
    (d) => `device ${d.device} is not known`,
    'Start its agent once; it registers itself.',
  ),
  JOB_NOT_FOUND: entry<{ job: string }>(404, (d) => `job ${d.job} is not known`, 'List jobs with `tideway jobs`.'),
  RUN_NOT_FOUND: entry<{ run: string }>(404, (d) => `run ${d.run} is not known`, 'Check its id.'),
  STORE_LOCKED: entry<{ dir: string; pid: number }>(
    409,
    (d) => `the store in ${d.dir} is in use by process ${d.pid}`,
    'Stop that process (`tideway down`), or use another --dir; more than one process needs PostgreSQL.',
  ),
  STORE_UNAVAILABLE: entry<{ store: string }>(
    503,
    (d) => `the store (${d.store}) does not answer`,
    'Check that it runs and is reachable.',
  ),
  LINK_UNAVAILABLE: entry<{ url: string }>(
    503,
    (d) => `no connection to ${d.url}`,
    'Check the address and that the server runs.',
  ),
  CHUNK_STREAM_FULL: entry<{ stream: string; bytes: number }>(
    507,
    (d) => `stream ${d.stream} has no room for a chunk of ${d.bytes} bytes`,
    'Raise its max_bytes, or remove old versions; nothing was evicted.',
  ),
  REPORT_IDENTITY_MISMATCH: entry<{ fleet: string; device: string; claimed: string }>(
    403,
    (d) => `device ${d.fleet}/${d.device} reported as ${d.claimed}`,
    'A device reports under its own fleet and id only.',
  ),
  REPORT_DEAD_LETTERED: entry<{ fleet: string; device: string; deliveries: number }>(
    500,
    (d) => `a report of device ${d.fleet}/${d.device} was given up after ${d.deliveries} deliveries`,
    'See the log for why it was not accepted; the device sends it again.',
  ),
  CREDENTIALS_REQUIRED: entry<{ host: string }>(
    400,
    (d) =>
      isLoopback(d.host)
        ? 'credentials are required by the configuration, and there are none that could be right'
        : `listening on ${d.host} without credentials is refused`,
    'Configure credentials: a key in TIDEWAY_ADMIN_KEY or `http.apiKeys`, or an issuer in `access.oidc`; or ' +
      '`tideway keys create --role admin` of a cloud that asks for none makes a key. On 127.0.0.1 none are asked for, ' +
      'unless `access.required` says so.',
  ),
  UNAUTHORIZED: entry<{ given: boolean }>(
    401,
    (d) => (d.given ? 'the API key or token of this request is not valid' : 'this request has no API key or token'),
    'Send one as "Authorization: Bearer <key>"; the `tideway` command takes it from TIDEWAY_API_KEY. Who runs the process has ' +
      'keys: from `tideway keys create` of a cloud, or as TIDEWAY_ADMIN_KEY or `http.apiKeys` told it at its start.',
  ),
  TOKEN_EXPIRED: entry(401, () => 'the token has expired', 'Get a new one from the issuer.'),
  TOKEN_INVALID: entry<{
    reason: 'form' | 'algorithm' | 'signature' | 'key' | 'issuer' | 'audience' | 'time' | 'claims'
  }>(
    401,
    (d) => `the token is not valid here (${d.reason})`,
    'Get one from the configured issuer, for the configured audience.',
  ),
  ISSUER_UNAVAILABLE: entry<{ issuer: string; reason: string }>(
    503,
    (d) => `the keys of the issuer ${d.issuer} cannot be read (${d.reason})`,
    'Check `oidc` in the configuration, and that this process can reach the issuer.',
  ),
  ROLE_REQUIRED: entry<{ roles: readonly string[] }>(
    403,
    (d) => `this needs the role ${d.roles.join(' or ')}`,
    'Ask an admin for a key with that role.',
  ),
  MODEL_FORBIDDEN: entry<{ model: string }>(
    403,
    (d) => `these credentials are not for model ${d.model}`,
    'Ask an admin for a key whose scope has that model.',
  ),
  ALL_MODELS_REQUIRED: entry<{ what: string }>(
    403,
    (d) => `these credentials are for some models, and ${d.what} tells of all`,
    'Ask an admin for a key that is not restricted to models.',
  ),
  DEVICE_FORBIDDEN: entry<{ fleet: string; device: string }>(
    403,
    (d) => `these credentials do not speak for device ${d.fleet}/${d.device}`,
    'Use the key of that device, or of its fleet.',
  ),
  KEY_NOT_FOUND: entry<{ key: string }>(404, (d) => `key ${d.key} is not known`, 'List keys with `tideway keys list`.'),
  KEY_EXISTS: entry<{ key: string }>(409, (d) => `there is a key ${d.key} already`, 'Make it with another id.'),
  PROFILE_INVALID: entry<{ what: string; reason: string }>(
    400,
    (d) => `${d.what} of a profile cannot be read: ${d.reason}`,
    'Send profiles as a profile builder seals them.',
  ),
  PROFILE_MISMATCH: entry<{ what: string; first: string; second: string }>(
    409,
    (d) => `two profiles differ in ${d.what} (${d.first} and ${d.second})`,
    'Only profiles of one schema can be merged or compared.',
  ),
  INPUT_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the inputs do not fit the model: ${d.issues.join('; ')}`,
    "Compare with the model's signature, which `GET /v2/models/<model>` of what serves it tells.",
  ),
  DATASET_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the data cannot be trained on: ${d.issues.join('; ')}`,
    'Correct the data, or load more of it.',
  ),
  TENSORS_INVALID: entry<{ issues: readonly string[] }>(
    400,
    (d) => `the blob of tensors is not valid: ${d.issues.join('; ')}`,
    'Write it with encodeTensors.',
  ),
  SESSION_DISPOSED: entry(409, () => 'this session has been disposed of', 'Load the model again.'),
  MODEL_INVALID: entry<{ reason: string }>(
    400,
    (d) => `the bytes are not a usable model: ${d.reason}`,
    'Export the model again.',
  ),
  PROVIDER_UNAVAILABLE: entry<{ provider: string; available: readonly string[]; reason?: string }>(
    400,
    (d) =>
      `execution provider ${d.provider} is not available here (there is: ${d.available.join(', ')})` +
      (d.reason === undefined ? '' : `: ${d.reason}`),
    'Choose one of those.',
  ),
  RUNTIME_UNAVAILABLE: entry<{ engine: string; platform: string; arch?: string; reason: string }>(
    501,
    (d) =>
      `${d.engine} cannot be loaded on ${d.arch === undefined ? d.platform : `${d.platform}-${d.arch}`}: ${d.reason}`,
    'onnxruntime-node has binaries for linux-x64 and linux-arm64 (glibc), darwin-arm64, win32-x64 and win32-arm64: ' +
      'there, run `ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node`. Elsewhere (Intel Macs, 32-bit Arm, ' +
      'Alpine) use a runtime on onnxruntime-web, whose WebAssembly runs in Node and in browsers.',
  ),
  RUN_FAILED: entry<{ reason: string }>(
    500,
    (d) => `the model could not be run: ${d.reason}`,
    'The inputs fit its signature, so look for a size that is fixed inside the model, or for memory.',
  ),
  PLUGIN_INVALID: entry<{ plugin: string; issues: readonly string[] }>(
    500,
    (d) => `plugin ${d.plugin} cannot be registered: ${d.issues.join('; ')}`,
    'Define it with definePlugin({ name, options, register }).',
  ),
  PLUGIN_OPTIONS_INVALID: entry<{ plugin: string; issues: readonly string[] }>(
    400,
    (d) => `options of plugin ${d.plugin} are not valid: ${d.issues.join('; ')}`,
    'Correct the named options.',
  ),
  PLUGIN_DUPLICATE: entry<{ plugin: string }>(
    500,
    (d) => `plugin ${d.plugin} is registered twice`,
    'Register it once.',
  ),
  PLUGIN_HOST_VERSION: entry<{ plugin: string; wants: string; host: string }>(
    500,
    (d) => `plugin ${d.plugin} wants Tideway ${d.wants}, this is ${d.host}`,
    'Install a matching version of the plugin.',
  ),
  PLUGIN_NEEDS: entry<{ plugin: string; tokens: readonly string[] }>(
    500,
    (d) => `plugin ${d.plugin} needs ${d.tokens.join(', ')}, which nothing provides`,
    'Add a plugin that says in `provides` that it does, or the role of the cloud that does.',
  ),
  PLUGIN_CYCLE: entry<{ plugins: readonly string[] }>(
    500,
    (d) => `plugins need one another: ${[...d.plugins, d.plugins[0]].join(' needs ')}`,
    'Let one of them take what it needs when it starts, without `needs`.',
  ),
  PLUGIN_NOT_INSTALLED: entry<{ package: string; install?: string }>(
    500,
    (d) => `package ${d.package} is not installed${d.install === undefined ? '' : `: run \`${d.install}\``}`,
    'Install it with npm.',
  ),
  TOKEN_NOT_PROVIDED: entry<{ token: string }>(
    500,
    (d) => `nothing provides ${d.token}`,
    'Register a plugin that does.',
  ),
  TOKEN_DUPLICATE: entry<{ token: string; plugin: string }>(
    500,
    (d) => `plugin ${d.plugin} provides ${d.token}, which is provided already`,
    'Leave one of the two plugins out; to replace a part of ours, name it in `provides`.',
  ),
  START_FAILED: entry<{ plugin: string }>(
    500,
    (d) => `plugin ${d.plugin} did not start`,
    'What had started was stopped again; see the cause.',
  ),
  STOP_FAILED: entry<{ plugins: readonly string[] }>(
    500,
    (d) => `stopping failed in ${d.plugins.join(', ')}`,
    'See the causes.',
  ),
  ROLE_NOT_HERE: entry<{ service: string; filesAlone?: true }>(
    503,
    (d) =>
      d.filesAlone
        ? `this process serves files alone (\`tideway serve\`), without ${inWords(d.service)}`
        : `this process does not run what this route needs: ${inWords(d.service)}`,
    'Ask a process that has it: a cloud (`tideway up`), which has everything unless `--roles` or its configuration say less.',
  ),
  EXTENSION_NOT_HERE: entry<{ extension: string }>(
    501,
    (d) => `the models of this process are served without the protocol's extension ${d.extension}`,
    'GET /v2 lists the extensions that there are.',
  ),
  INTERNAL: entry<{ requestId: string }>(
    500,
    (d) => `something went wrong here (request ${d.requestId})`,
    'Look for the request id in the log of the cloud process.',
  ),
})
