import { ERROR_HEADER, type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { type CredentialChange, LinkCredentials, ScriptPath } from "#protocol/script-api.ts";
import { failureIn } from "./machine-failure.ts";
import { askMachine, type DispatchBindings, postToMachine } from "./script-client.ts";

/** Time limit of a change. The script writes its own storage and answers, so this is generous. */
const CHANGE_TIMEOUT_MS = 5_000;

/**
 * Tells a machine's object which token and key its link accepts, and answers what it accepts now. `null` if the script is too old
 * to have such a list: it goes by its bindings alone.
 *
 * This comes before an upload, whose bindings may take minutes to reach a running script (Durable Objects, "Known issues").
 * Throws `OperatorFailure` if the script does not answer.
 */
export async function changeCredentials(
  env: DispatchBindings,
  user: string,
  name: string,
  change: CredentialChange,
): Promise<LinkCredentials | null> {
  return asked(name, (signal) => postToMachine(env, user, name, ScriptPath.CREDENTIALS, change, signal));
}

/** What a machine's link accepts. `null` and errors: see `changeCredentials`. */
export async function credentialsOf(
  env: DispatchBindings,
  user: string,
  name: string,
): Promise<LinkCredentials | null> {
  return asked(name, (signal) => askMachine(env, user, name, ScriptPath.CREDENTIALS, { signal }));
}

/**
 * The hash of the token that a machine dials with now. Its script may have renewed the one that was issued, and the bindings need
 * the current one in case that the secret of the macs has changed, or the object's storage is lost.
 */
export async function newestTokenHash(
  env: DispatchBindings,
  user: string,
  name: string,
): Promise<{ linkTokenHash?: string }> {
  try {
    const hash = (await credentialsOf(env, user, name))?.tokens.at(-1)?.hash;
    return hash === undefined ? {} : { linkTokenHash: hash };
  } catch (failure) {
    console.warn("a machine's script did not say its link's credentials", {
      machine: name,
      failure: String(failure),
    });
    return {};
  }
}

/**
 * Tells a machine's script what its link accepts. Returns whether the script has stored it. If not, that is only logged, because the upload that
 * follows says it as well.
 */
export async function tellCredentials(
  env: DispatchBindings,
  user: string,
  name: string,
  change: CredentialChange,
): Promise<boolean> {
  try {
    return (await changeCredentials(env, user, name, change)) !== null;
  } catch (failure) {
    console.warn("a machine's script could not be told its link's credentials", {
      machine: name,
      change: change.change,
      failure: String(failure),
    });
    return false;
  }
}

async function asked(name: string, ask: (signal: AbortSignal) => Promise<Response>): Promise<LinkCredentials | null> {
  const signal = AbortSignal.timeout(CHANGE_TIMEOUT_MS);
  const timeout: OperatorError = { code: "machine_timeout", machine: name, afterMs: CHANGE_TIMEOUT_MS };
  try {
    const response = await ask(signal);
    if (response.ok) return LinkCredentials.parse(await response.json());
    if (response.status === 404 && response.headers.get(ERROR_HEADER) === "not_found") return null;
    throw new OperatorFailure(await failureIn(response, name));
  } catch (reason) {
    throw signal.aborted ? new OperatorFailure(timeout) : reason;
  }
}
