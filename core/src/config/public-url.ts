/** A server's address as others may know it: without the user name and password that are in it. */
export function publicUrl(url: string): string {
  // NATS takes several servers with commas between them, and addresses without a scheme.
  return url.replace(/(^|,|:\/\/)[^/,@]*@/g, '$1')
}
