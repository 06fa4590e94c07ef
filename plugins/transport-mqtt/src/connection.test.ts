import { expect, it } from 'vitest'
import { topicMatches } from './connection.js'

it.each([
  ['a/b', 'a/b', true],
  ['a/b', 'a/c', false],
  ['a/+', 'a/b', true],
  ['a/+', 'a/b/c', false],
  ['a/+', 'a', false],
  ['+/+', 'a/b', true],
  ['a/#', 'a/b/c', true],
  ['a/#', 'a', true],
  ['#', 'a/b', true],
  ['a/b', 'a/b/c', false],
])('%s against %s is %s', (filter, topic, matches) => {
  expect(topicMatches(filter, topic)).toBe(matches)
})
