import { detailsOf, OperatorFailure } from "#protocol/error.ts";
import type { MachineDetail } from "#protocol/rest-api.ts";
import type { AddressBindings } from "../http/host.ts";
import type { MachineRecord } from "./machine-record.ts";
import { machineState } from "./machine-state.ts";
import { summaryOf } from "./machine-summary.ts";
import type { DispatchBindings } from "./script-client.ts";
import { registryOf, type UserBindings } from "../user/user-rpc.ts";

/**
 * A machine as the registry and its own script know it. A script that does not answer spoils nothing else. Where the two
 * disagree the script is right, and the registry learns it.
 */
export async function detailOf(
  record: MachineRecord,
  env: AddressBindings & DispatchBindings & UserBindings,
  user: string,
): Promise<MachineDetail> {
  const summary = summaryOf(record, env);
  try {
    const state = await machineState(env, user, record.name);
    if (state.online !== record.online) await registryOf(env, user).correct(record.slug, state);
    const { lastSeenMs } = state;
    const status = state.online ? "online" : lastSeenMs === null ? "never_connected" : "offline";
    return { ...summary, status, lastSeenMs, state, error: null };
  } catch (reason) {
    if (record.online) await registryOf(env, user).doubt(record.name);
    const error =
      reason instanceof OperatorFailure
        ? reason.error
        : ({ code: "machine_failed", machine: record.name, reason: String(reason) } as const);
    const status = summary.status === "online" ? "offline" : summary.status;
    return { ...summary, status, state: null, error: detailsOf(error) };
  }
}
