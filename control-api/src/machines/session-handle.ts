import { isMachineName } from "#protocol/slug.ts";

/** A session as Operator names it: `<machine>/<the machine's own id>`. */
export function sessionHandle(machine: string, session: string): string {
  return `${machine}/${session}`;
}

/** The parts of a session handle; `machine` is `null` for a bare id (one without a machine's name before a slash). */
export function parseSessionHandle(handle: string): { machine: string | null; session: string } {
  const slash = handle.indexOf("/");
  const machine = handle.slice(0, slash);
  return slash > 0 && isMachineName(machine)
    ? { machine, session: handle.slice(slash + 1) }
    : { machine: null, session: handle };
}
