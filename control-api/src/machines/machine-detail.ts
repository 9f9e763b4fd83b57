import { detailsOf, OperatorFailure } from "#protocol/error.ts";
import type { MachineDetail } from "#protocol/rest-api.ts";
import type { AddressBindings } from "../http/host.ts";
import type { MachineRecord } from "./machine-record.ts";
import { machineState } from "./machine-state.ts";
import { summaryOf } from "./machine-summary.ts";
import type { DispatchBindings } from "./script-client.ts";

/** A machine as the registry and its own script know it. A script that does not answer spoils nothing else. */
export async function detailOf(
  record: MachineRecord,
  env: AddressBindings & DispatchBindings,
  user: string,
): Promise<MachineDetail> {
  const summary = summaryOf(record, env);
  try {
    const state = await machineState(env, user, record.name);
    return {
      ...summary,
      status: state.online ? "online" : summary.status === "online" ? "offline" : summary.status,
      state,
      error: null,
    };
  } catch (reason) {
    const error =
      reason instanceof OperatorFailure
        ? reason.error
        : ({ code: "machine_failed", machine: record.name, reason: String(reason) } as const);
    return { ...summary, state: null, error: detailsOf(error) };
  }
}
