import { type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { MachineState, ScriptPath } from "#protocol/script-api.ts";
import { askMachine, type DispatchBindings } from "./script-client.ts";
import { failureIn } from "./machine-failure.ts";

/** Time limit for a script's state. The script answers from its own storage without asking the machine, so this is generous. */
const STATE_TIMEOUT_MS = 5_000;

/** Asks a machine's script for the state of the machine. Throws `OperatorFailure` if the script reports an error or times out. */
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
