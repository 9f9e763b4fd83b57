import type { Scope } from "../http/scope.ts";
import { type ShownMachine, shownIn } from "../http/shown-machine.ts";

const DAY_MS = 24 * 60 * 60_000;

/** What the form on the account page offers. */
const MAY: Record<string, readonly Scope[]> = {
  act: ["mcp:tools"],
  read: ["operator:read"],
  manage: ["mcp:tools", "operator:admin"],
};

/** A token as a person asks for it: the same as `POST /api/tokens` takes. */
export type AskedToken = {
  readonly label: string;
  readonly limits: {
    readonly scopes: readonly Scope[];
    readonly machines: readonly ShownMachine[] | null;
    readonly expiresMs: number | null;
    readonly callsPerDay: number | null;
  };
};

/** The token that the form of the account page asks for, or `null` if it is not filled in properly. An empty field sets no limit. */
export function tokenAsked(form: FormData, nowMs: number): AskedToken | null {
  const text = (name: string): string => String(form.get(name) ?? "").trim();
  const label = text("label");
  const [days, callsPerDay] = [numberIn(text("days"), 3_650), numberIn(text("calls"), 100_000_000)];
  const shown = shownIn(form);
  const scopes = MAY[text("may")];
  if (label === "" || label.length > 64 || scopes === undefined) return null;
  if (days === undefined || callsPerDay === undefined) return null;
  // A choice that cannot be read must not become a token for all machines.
  if (shown.length === 0 && text("machine") !== "") return null;
  const machines = shown.length === 0 ? null : shown;
  // A token that manages the account cannot be limited: it could make others that are not (rest/tokens.ts).
  if (scopes.includes("operator:admin") && (machines !== null || callsPerDay !== null)) return null;
  return {
    label,
    limits: { scopes, machines, expiresMs: days === null ? null : nowMs + days * DAY_MS, callsPerDay },
  };
}

/** A whole number from 1 to `max`; `null` for an empty field, `undefined` for anything else. */
function numberIn(text: string, max: number): number | null | undefined {
  if (text === "") return null;
  return /^[1-9]\d{0,8}$/.test(text) && Number(text) <= max ? Number(text) : undefined;
}
