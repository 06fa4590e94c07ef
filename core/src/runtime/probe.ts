/**
 * The smallest of models, y = max(x, 0) of one float: an engine that does not take it takes none. Written down, since the
 * package that writes ONNX files is not one that a device needs; a test reads it.
 */
export const PROBE = Uint8Array.from(
  atob('CAg6NwoMCgF4EgF5IgRSZWx1EgVwcm9iZVoPCgF4EgoKCAgBEgQKAggBYg8KAXkSCgoICAESBAoCCAFCAhAR'),
  (character) => character.charCodeAt(0),
)
