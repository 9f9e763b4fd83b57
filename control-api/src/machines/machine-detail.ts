import { detailsOf, OperatorFailure } from "#protocol/error.ts";
import type { MachineDetail } from "#protocol/rest-api.ts";
import type { Env } from "../env.ts";
import type { MachineRecord } from "./machine-record.ts";
import { machineState } from "./machine-state.ts";
import { summaryOf } from "./machine-summary.ts";

/**
 * A machine's details from the registry and from its own script. If the script does not answer, the result has the registry's
 * fields and an error. If the two disagree about the link, the script is right because it holds the link, and the registry is
 * corrected.
 */
export async function detailOf(record: MachineRecord, env: Env, user: string): Promise<MachineDetail> {
  const summary = summaryOf(record, env);
  try {
    const state = await machineState(env, user, record.name);
    if (state.online !== record.online) await env.USER.getByName(user).correct(record.slug, state);
    const { lastSeenMs } = state;
    const status = state.online ? "online" : lastSeenMs === null ? "never_connected" : "offline";
    // Facts that only the script has are those of a computer that had the name before.
    const shown = state.online || record.facts !== null ? state : { ...state, facts: null };
    return { ...summary, link: state.link ?? summary.link, status, lastSeenMs, state: shown, error: null };
  } catch (reason) {
    if (record.online) await env.USER.getByName(user).doubt(record.name);
    const error =
      reason instanceof OperatorFailure
        ? reason.error
        : ({ code: "machine_failed", machine: record.name, reason: String(reason) } as const);
    const status = summary.status === "online" ? "offline" : summary.status;
    return { ...summary, status, state: null, error: detailsOf(error) };
  }
}
