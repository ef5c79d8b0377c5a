/**
 * Node's plain HTTP, not by `import`: that reads all exports of a module, and some of this one load Node's `fetch`, which costs
 * 3 MiB that no process of ours uses.
 */
export const { createServer, STATUS_CODES } = process.getBuiltinModule("node:http")
