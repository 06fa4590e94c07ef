/** What a cloud process that has started tells others. */
export interface ReadyCloud {
  readonly dir: string
  /** Of the HTTP API, where the role `api` runs. */
  readonly url: string | undefined
  /** Of inference by processes of their own, where there are any. */
  readonly dataPlaneUrl?: string | undefined
  /** Of inference over gRPC, where it is answered. */
  readonly grpcUrl?: string | undefined
  readonly natsUrl: string | undefined
}

/** For a person at a terminal: where it is, and how a device connects to it. */
export function readyLines({ dir, url, dataPlaneUrl, grpcUrl, natsUrl }: ReadyCloud): string {
  const wire = natsUrl === undefined ? url && `--cloud ${url}` : `--nats ${natsUrl}`
  return [
    url === undefined ? `Tideway runs, without the HTTP API, in ${dir}` : `Tideway runs at ${url}`,
    ...(url === undefined ? [] : [`  the API       ${url}/openapi.json`]),
    ...(dataPlaneUrl === undefined ? [] : [`  inference     ${dataPlaneUrl}`]),
    ...(grpcUrl === undefined ? [] : [`  inference     ${grpcUrl}`]),
    ...(wire === undefined ? [] : [`  a device      tideway-edge run --device NAME --fleet FLEET ${wire}`]),
    '  Ctrl-C stops it',
  ].join('\n')
}
