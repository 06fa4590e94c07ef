/** The version that plugins are checked against; a test keeps it equal to package.json. */
export const HOST_VERSION = '0.1.0'
