import { OperatorFailure } from "#protocol/error.ts";
import { EventDetail } from "#protocol/event.ts";
import type { Caller } from "../http/caller.ts";
import type { Env } from "../env.ts";
import { parseSessionHandle } from "../machines/session-handle.ts";
import type { MachineRecord } from "../machines/machine-record.ts";

/**
 * Which events a reader wants: those of these machines (`null`: all), and of this session by the machine's own id (`null`:
 * all).
 */
export type Selection = { machines: readonly string[] | null; session: string | null };

/**
 * Resolves what a caller asked for: `machine` is a name; `session` is a handle `<machine>/<id>`, or a bare id together with a machine.
 * Throws `OperatorFailure`: invalid_request, machine_unknown.
 */
export async function selectionOf(env: Env, caller: Caller, machine: unknown, session: unknown): Promise<Selection> {
  if (machine !== undefined && typeof machine !== "string")
    return invalid("machine must be a machine's name, as a string.");
  if (session !== undefined && typeof session !== "string")
    return invalid("session must be a session handle, as a string.");
  const handle = session === undefined ? null : parseSessionHandle(session);
  const ofHandle = handle?.machine ?? undefined;
  if (ofHandle !== undefined && machine !== undefined && ofHandle !== machine)
    invalid(`The session is on machine "${ofHandle}", not on "${machine}". Leave the machine out.`);
  const name = ofHandle ?? machine;
  if (name === undefined && handle !== null)
    invalid("A session id without a machine is ambiguous. Pass the machine too, or use the handle `<machine>/<id>`.");
  if (name === undefined) return { machines: caller.machines, session: null };
  const isVisible = caller.machines?.includes(name) ?? true;
  const record: MachineRecord | null = isVisible ? await env.USER.getByName(caller.user).machine(name) : null;
  if (record === null) throw new OperatorFailure({ code: "machine_unknown", machine: name });
  return { machines: [name], session: handle?.session ?? null };
}

/** The detail that a caller asked for; `coarse` when it did not say. Throws `OperatorFailure` invalid_request. */
export function eventDetailOf(asked: unknown): EventDetail {
  const detail = EventDetail.safeParse(asked ?? "coarse");
  return detail.success ? detail.data : invalid('detail must be "coarse" or "deltas".');
}

function invalid(reason: string): never {
  throw new OperatorFailure({ code: "invalid_request", reason });
}
