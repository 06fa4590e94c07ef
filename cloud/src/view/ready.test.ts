import { expect, it } from 'vitest'
import { readyLines } from './ready.js'

const embedded = { dir: '.tideway', url: 'http://127.0.0.1:4400', natsUrl: undefined }

it('says where the cloud is, where its API is described, how a device connects and how to stop it', () => {
  expect(readyLines(embedded)).toMatchInlineSnapshot(`
    "Tideway runs at http://127.0.0.1:4400
      the API       http://127.0.0.1:4400/openapi.json
      a device      tideway-edge run --device NAME --fleet FLEET --cloud http://127.0.0.1:4400
      Ctrl-C stops it"
  `)
})

it('has devices connect to NATS where that is the wire, and says when there is no API', () => {
  expect(readyLines({ ...embedded, natsUrl: 'nats://a:4222' })).toContain('--fleet FLEET --nats nats://a:4222\n')
  expect(readyLines({ ...embedded, url: undefined })).toBe(
    'Tideway runs, without the HTTP API, in .tideway\n  Ctrl-C stops it',
  )
})
