/** Where the files are of the versions that a process serves. */
export interface ModelSource {
  /** The file that is served of a version, not read yet. Throws `MODEL_INVALID` where the version has none that can be run. */
  find(manifestDigest: string): Promise<ModelFile>
}

export interface ModelFile {
  readonly model: string
  readonly bytes: number
  /** Throws what says that it is not as it was: `CHUNK_NOT_FOUND`, `MODEL_FILE_CHANGED`. */
  read(): Promise<Uint8Array>
}
