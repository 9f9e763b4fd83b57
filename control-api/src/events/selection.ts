import { OperatorFailure } from "#protocol/error.ts";
import type { Caller } from "../http/caller.ts";
import type { Env } from "../env.ts";
import { parseSessionHandle } from "../machines/session-handle.ts";
import type { MachineRecord } from "../machines/machine-record.ts";

/** Whose events a reader wants: of these machines (`null`: all), of this session (`null`: all; by the machine's own id). */
export type Selection = { machines: readonly string[] | null; session: string | null };

/**
 * What `machine`, a name, and `session`, a handle or with a machine a bare id, select among the caller's machines.
 * Throws `OperatorFailure`: invalid_request, machine_unknown.
 */
export async function selectionOf(env: Env, caller: Caller, machine: unknown, session: unknown): Promise<Selection> {
  if (machine !== undefined && typeof machine !== "string") return invalid("A machine is its name, a string.");
  if (session !== undefined && typeof session !== "string") return invalid("A session is its handle, a string.");
  const handle = session === undefined ? null : parseSessionHandle(session);
  const ofHandle = handle?.machine ?? undefined;
  if (ofHandle !== undefined && machine !== undefined && ofHandle !== machine)
    invalid(`The session is on machine "${ofHandle}", not on "${machine}". Leave the machine out.`);
  const name = ofHandle ?? machine;
  if (name === undefined && handle !== null)
    invalid("A bare session id needs its machine too; or use the handle `<machine>/<id>`.");
  if (name === undefined) return { machines: caller.machines, session: null };
  const isVisible = caller.machines?.includes(name) ?? true;
  const record: MachineRecord | null = isVisible ? await env.USER.getByName(caller.user).machine(name) : null;
  if (record === null) throw new OperatorFailure({ code: "machine_unknown", machine: name });
  return { machines: [name], session: handle?.session ?? null };
}

function invalid(reason: string): never {
  throw new OperatorFailure({ code: "invalid_request", reason });
}
