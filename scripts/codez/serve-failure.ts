import { join } from "node:path";
import { AlreadyRunning, ConfigInvalid, readConfig, ServeExitCode } from "../serve/index.ts";
import { codezHome } from "../system/home.ts";
import { CodezFailure } from "./failure.ts";

/**
 * Why `startServe` failed, what to do about it, and a separate exit code for each reason: a service manager must not retry with
 * a broken `serve.json`, but must retry when the port was only taken for a moment. `null` for an unexpected error, which the
 * caller rethrows.
 */
export function serveFailureOf(reason: unknown): CodezFailure | null {
  if (!(reason instanceof Error)) return null;
  const { message } = reason;
  if (reason instanceof ConfigInvalid)
    return new CodezFailure(ServeExitCode.CONFIG_INVALID, message, "Correct serve.json, then start it again.", reason);
  if (reason instanceof AlreadyRunning)
    return new CodezFailure(
      ServeExitCode.ALREADY_RUNNING,
      message,
      "To connect the running one: codez connect",
      reason,
    );
  if ("code" in reason && reason.code === "EADDRINUSE") {
    const fix =
      "Another program has this port. End it, or choose another port: codez serve --port, or port in serve.json";
    return new CodezFailure(ServeExitCode.PORT_TAKEN, `codez serve did not start: ${message}`, fix, reason);
  }
  return null;
}

/** Why this computer's `serve.json` is invalid; `null` if it is valid, or missing. */
export function configProblem(): CodezFailure | null {
  try {
    readConfig(join(codezHome(), "serve.json"));
    return null;
  } catch (reason) {
    const failure = serveFailureOf(reason);
    if (failure === null) throw reason;
    return failure;
  }
}

/** Throws `CodezFailure` while `serve.json` is invalid. */
export function checkConfig(): void {
  const failure = configProblem();
  if (failure !== null) throw failure;
}
