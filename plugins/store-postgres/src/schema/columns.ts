import { customType } from 'drizzle-orm/pg-core'
import { safeJson, safeText } from './safe.js'

/** Free text from outside; see `safeText`. Ids, which were checked, use `text`. */
export const freeText = customType<{ data: string; driverData: string }>({
  dataType: () => 'text',
  toDriver: safeText,
})

/** JSON from outside; see `safeJson`. */
export const json = customType<{ data: unknown; driverData: unknown }>({
  dataType: () => 'jsonb',
  toDriver: safeJson,
  // Both drivers parse jsonb; a string is then a JSON string.
  fromDriver: (value) => value,
})

/** An ISO 8601 time, kept to the millisecond. Times before 1970 can only come from a broken clock and become 1970. */
export const instant = customType<{ data: string; driverData: string }>({
  dataType: () => 'timestamp (3) with time zone',
  toDriver: (iso) => new Date(Math.max(0, Date.parse(iso))).toISOString(),
  fromDriver: (value) => new Date(value).toISOString(),
})
