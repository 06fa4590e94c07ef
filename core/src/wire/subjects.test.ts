import { expect, it } from 'vitest'
import { deviceOf, subjectOf, subjects, topicOf } from './subjects.js'

it('turns subjects into MQTT topics and filters', () => {
  expect(topicOf(subjects.report('plant', 'd1'))).toBe('tideway/v1/report/plant/d1')
  expect(topicOf(subjects.reportAll)).toBe('tideway/v1/report/+/+')
  expect(topicOf(subjects.desiredAll)).toBe('tideway/v1/desired/#')
  expect(subjectOf('tideway/v1/ack/plant/d1')).toBe(subjects.ack('plant', 'd1'))
})

it('reads fleet and device from the subjects that have them, and from no other', () => {
  expect(deviceOf(subjects.reported('plant', 'd1'))).toEqual({ kind: 'reported', fleet: 'plant', device: 'd1' })
  expect(deviceOf(subjects.desiredDevice('plant', 'd1'))).toBeUndefined()
  expect(deviceOf('tideway.v1.report.plant.d1.more')).toBeUndefined()
})

it('never builds a subject from an id that could change its meaning', () => {
  for (const bad of ['*', '>', 'a.b', 'a b', '', 'A', '-a', 'x'.repeat(64)])
    expect(() => subjects.report('plant', bad)).toThrow(expect.objectContaining({ code: 'NAME_INVALID' }))
})
