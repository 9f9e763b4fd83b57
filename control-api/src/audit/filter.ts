import { isMachineName } from "#protocol/slug.ts";
import type { AuditShelf } from "./entry.ts";

/** Which entries somebody wants to see. `null` in a field: whatever it is. */
export type AuditFilter = {
  readonly shelf: AuditShelf | null;
  readonly machine: string | null;
  readonly client: string | null;
  /** `true`: only what did not end well; `false`: only what did. */
  readonly failed: boolean | null;
  /** From here on. Milliseconds since 1970. */
  readonly sinceMs: number | null;
  /** Up to here, without it. */
  readonly untilMs: number | null;
};

/** What a filter was given that it cannot use, as a sentence. */
export type FilterProblem = { readonly problem: string };

const SHELVES: readonly AuditShelf[] = ["call", "permission", "account"];

/** Characters of a client's name. The log keeps no more of one, and three dots. */
const MAX_CLIENT_CHARACTERS = 131;

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const DAY_MS = 24 * 60 * 60_000;

/**
 * The filter in the query of an address: `kind` (call, permission, account), `machine`, `client`, `outcome` (ok, failed), `since` and
 * `until` (days in UTC, both included). An empty field is no condition, because a form sends all of its fields.
 */
export function filterIn(query: Readonly<Record<string, string | undefined>>): AuditFilter | FilterProblem {
  const given = (name: string): string | null => (query[name] === undefined || query[name] === "" ? null : query[name]);
  const [kind, machine, client, outcome] = [given("kind"), given("machine"), given("client"), given("outcome")];
  const shelf = SHELVES.find((one) => one === kind) ?? null;
  if (kind !== null && shelf === null) return { problem: `kind must be one of ${SHELVES.join(", ")}.` };
  if (machine !== null && !isMachineName(machine)) return { problem: "machine must be the name of a machine." };
  if (client !== null && client.length > MAX_CLIENT_CHARACTERS) return { problem: "No client has such a long name." };
  if (outcome !== null && outcome !== "ok" && outcome !== "failed") return { problem: "outcome must be ok or failed." };
  const [sinceMs, lastDayMs] = [dayIn(given("since")), dayIn(given("until"))];
  if (Number.isNaN(sinceMs) || Number.isNaN(lastDayMs))
    return { problem: "since and until must be days such as 2026-11-22." };
  return {
    shelf,
    machine,
    client,
    failed: outcome === null ? null : outcome === "failed",
    sinceMs,
    untilMs: lastDayMs === null ? null : lastDayMs + DAY_MS,
  };
}

function dayIn(text: string | null): number | null {
  if (text === null) return null;
  return DAY.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
}
