import { isMachineName } from "#protocol/slug.ts";

/** Operator's handle of a session, `<machine>/<the machine's own id>`. The machine's name makes ids unique across machines. */
export function sessionHandle(machine: string, session: string): string {
  return `${machine}/${session}`;
}

/** Splits a session handle. `machine` is `null` if the text is a bare id, without a machine's name and a slash in front. */
export function parseSessionHandle(handle: string): { machine: string | null; session: string } {
  const slash = handle.indexOf("/");
  const machine = handle.slice(0, slash);
  return slash > 0 && isMachineName(machine)
    ? { machine, session: handle.slice(slash + 1) }
    : { machine: null, session: handle };
}
