import { type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { MachineState, ScriptPath } from "#protocol/script-api.ts";
import { askMachine, type DispatchBindings } from "./script-client.ts";
import { failureIn } from "./machine-failure.ts";

/** A script's own word of a machine is waited for so long. It does not have to ask the machine for it. */
const STATE_TIMEOUT_MS = 5_000;

/** Asks a machine's script how the machine is. Throws `OperatorFailure`. */
export async function machineState(env: DispatchBindings, user: string, name: string): Promise<MachineState> {
  const signal = AbortSignal.timeout(STATE_TIMEOUT_MS);
  const timeout: OperatorError = { code: "machine_timeout", machine: name, afterMs: STATE_TIMEOUT_MS };
  try {
    const response = await askMachine(env, user, name, ScriptPath.STATE, { signal });
    if (!response.ok) throw new OperatorFailure(await failureIn(response, name));
    return MachineState.parse(await response.json());
  } catch (reason) {
    throw signal.aborted ? new OperatorFailure(timeout) : reason;
  }
}
