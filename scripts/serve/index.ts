/**
 * The public interface of `serve`, which offers this machine's coding sessions as an MCP server. Other programs may import only
 * this file. `startServe` is the main export. The others are what commands need to run its parts and to find a running one.
 */
import type { Serve, ServeOptions } from "./serve.ts";

export { AlreadyRunning } from "./already-running.ts";
export { keep } from "./agent/keep.ts";
export type { ServeConfig } from "./config.ts";
export { configIn, ConfigInvalid, readConfig } from "./config-file.ts";
export { ServeExitCode } from "./exit-code.ts";
export { ASK_PATH } from "./permission/ask-route.ts";
export { LOCAL_PATH } from "./permission/local-route.ts";
export { findRunning, type Running } from "./running-file.ts";
export { ownServe } from "./own-token.ts";
export { runIndexWorker } from "./search-index/worker.ts";
export type { Serve };

/**
 * Starts this machine's MCP server (`serve.ts`). Its modules are loaded only now, because evaluating the MCP SDK's schemas takes longer than most
 * commands of `codez` run.
 */
export async function startServe(options?: ServeOptions): Promise<Serve> {
  const serve = await import("./serve.ts");
  return serve.startServe(options);
}
