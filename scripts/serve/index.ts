/**
 * The door of `serve`, this machine's coding sessions as an MCP server: all that other programs may use of it.
 * `startServe` is the product; the rest is what a command needs to run its parts and to find one that runs.
 */
export { keep } from "./agent/keep.ts";
export { ConfigInvalid, type ServeConfig } from "./config.ts";
export { ServeExitCode } from "./exit-code.ts";
export { LOCAL_PATH } from "./permission/local-route.ts";
export { findRunning, type Running } from "./running-file.ts";
export { ownAuthorization } from "./own-token.ts";
export { runIndexWorker } from "./search-index/worker.ts";
export { AlreadyRunning, type Serve, startServe } from "./serve.ts";
