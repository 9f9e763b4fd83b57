import * as z from "zod/mini";
import { Facts } from "./control.ts";
import { LogPosition } from "./event.ts";

/**
 * What a machine script answers to the control API (through the dispatch Worker, as the owner), and what it reports back.
 * Requests carry `x-operator-caller`; a caller who isn't the owner is answered as if the machine did not exist.
 */
export const ScriptPath = {
  /** The machine's MCP endpoint, passed through. Any method. */
  MCP: "/mcp",
  /** The machine's own WebSocket upgrade; authenticated with its link token, not with the shared secret. */
  LINK: "/link",
  /** GET: `MachineState`. */
  STATE: "/operator/state",
  /** GET, `?epoch&seq&session`: `EventPage` after that position; without one, the newest position and no events. */
  EVENTS: "/operator/events",
  /** POST `CallRequest`: the machine server's own answer (JSON or SSE) to that JSON-RPC request, in whichever revision it speaks. */
  CALL: "/operator/call",
  /** POST `{ code, reason }`: close the link with that code. */
  CLOSE: "/operator/close",
  /** GET: the whole log as `LoggedEvent[]`; POST the same: begin a log with it (a machine that was renamed). */
  LOG: "/operator/log",
} as const;

/** One JSON-RPC request to a machine's MCP server, without envelope, id and session: those are the script's. */
export const CallRequest = z.object({
  method: z.string(),
  params: z.optional(z.record(z.string(), z.unknown())),
  /** Ask the server for progress notifications. */
  progress: z.boolean(),
  /** Without a word from the machine for so long the call fails with `machine_timeout`. */
  timeoutMs: z.int(),
});
export type CallRequest = z.infer<typeof CallRequest>;

/** A session that the machine's events told of, for `get_machine`. */
export const KnownSession = z.object({ id: z.string(), firstMs: z.int(), lastMs: z.int(), lastType: z.string() });
export type KnownSession = z.infer<typeof KnownSession>;

/** Presence of a machine as its script knows it. Times in milliseconds since 1970. */
export const Presence = z.object({
  online: z.boolean(),
  /** Rises with each link. */
  epoch: z.int(),
  connectedAtMs: z.nullable(z.int()),
  lastSeenMs: z.nullable(z.int()),
  facts: z.nullable(Facts),
  position: LogPosition,
  template: z.string(),
});
export type Presence = z.infer<typeof Presence>;

export const MachineState = z.extend(Presence, {
  exchanges: z.int(),
  sessions: z.array(KnownSession),
});
export type MachineState = z.infer<typeof MachineState>;

/** Script to its owner's Agent: what changed. Facts are left out when they were reported before: they are large and rarely change. */
export const ReportedPresence = z.extend(Presence, { facts: z.optional(z.nullable(Facts)) });
export type ReportedPresence = z.infer<typeof ReportedPresence>;

export const MachineReport = z.object({ owner: z.string(), slug: z.string(), presence: ReportedPresence });
export type MachineReport = z.infer<typeof MachineReport>;

/** In the answer to a report: what the registry lacks and the next report must have. Its one value is `facts`. */
export const REPORT_WANTS_HEADER = "x-operator-wants";

/** Header with the key that shows a report comes from the script it names: HMAC-SHA-256 of `owner/slug` under the control API's secret. */
export const REPORT_KEY_HEADER = "x-operator-report-key";
