/** Limits of the wire. Each is enforced while streaming, on both sides. */
export const limits = {
  /** A chunk travels in one NATS message (server default max_payload: 1 MiB). */
  maxChunkBytes: 128 * 1024,
  targetChunkBytes: 64 * 1024,
  maxManifestBytes: 64 * 1024,
  maxBaselineBytes: 64 * 1024,
  /** One report envelope; larger bodies travel as blobs. */
  maxReportBytes: 256 * 1024,
  maxDesiredBytes: 64 * 1024,
  /** One blob (a data set, a checkpoint, a float model). */
  maxBlobBytes: 2 * 1024 ** 3,
  /** One JSON body at the HTTP door. */
  maxJsonBodyBytes: 8 * 1024 ** 2,
  maxReportsPerRequest: 256,
} as const
