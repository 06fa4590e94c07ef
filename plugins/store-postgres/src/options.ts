import { z } from 'zod'

const dirSchema = z.string().min(1)

/** Exactly one of `dir` and `url`. */
export const optionsSchema = z
  .strictObject({
    /** PGlite in `<dir>/db`, chunks in `<dir>/chunks`. */
    dir: dirSchema.optional(),
    /** A PostgreSQL server: `postgres://user:password@host:5432/database`. */
    url: z
      .string()
      .regex(/^postgres(ql)?:\/\//, 'must be a postgres:// URL')
      .optional(),
    /** Where chunks are kept with `url`; processes on several machines share it. */
    chunksDir: dirSchema.optional(),
  })
  .superRefine(({ dir, url, chunksDir }, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message })
    if (dir === undefined && url === undefined) issue('dir', 'give either dir or url')
    if (dir !== undefined && url !== undefined) issue('url', 'give either dir or url')
    if (url !== undefined && chunksDir === undefined) issue('chunksDir', 'needed with url')
    if (dir !== undefined && chunksDir !== undefined) issue('chunksDir', 'only with url')
  })
  .transform(
    ({ dir, url, chunksDir }): StoreOptions =>
      dir === undefined ? { url: url ?? '', chunksDir: chunksDir ?? '' } : { dir },
  )

export type StoreOptions = { readonly dir: string } | { readonly url: string; readonly chunksDir: string }
