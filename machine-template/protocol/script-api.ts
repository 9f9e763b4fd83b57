import * as z from "zod/mini";
import { Facts } from "./control.ts";
import { LogPosition } from "./event.ts";

/**
 * The requests that a machine script answers for the control API (which come through the dispatch Worker), and the reports
 * that it sends. Requests carry `x-operator-caller`. A caller who is not the owner is told that the machine does not exist.
 */
export const ScriptPath = {
  /** The machine's MCP endpoint, passed through. Any method. */
  MCP: "/mcp",
  /**
   * The machine's own requests, authenticated with its link token instead of the shared secret. The WebSocket upgrade of its
   * connector; and a plain GET, answered with `Presence`, with which `codez status` needs no sign-in.
   */
  LINK: "/link",
  /** GET: `MachineState`. */
  STATE: "/operator/state",
  /** GET, `?epoch&seq&session`: the `EventPage` after that position. Without a position: the newest position and no events. */
  EVENTS: "/operator/events",
  /**
   * POST `CallRequest`: sends that JSON-RPC request to the machine's MCP server, in the revision that it speaks, and returns
   * its answer (JSON or SSE).
   */
  CALL: "/operator/call",
  /** POST `{ code, reason }`: closes the link with that code. */
  CLOSE: "/operator/close",
  /**
   * For a machine that was renamed. GET, `?after=<seq>`: the next page of the log as `LoggedEvent[]`, empty at its end. POST of such a
   * page: appends these events. In pages, because a whole log of 20 MB would exist several times in the memory of three isolates.
   */
  LOG: "/operator/log",
} as const;

/** One JSON-RPC request to a machine's MCP server. The script adds the envelope, the id and the MCP session. */
export const CallRequest = z.object({
  method: z.string(),
  params: z.optional(z.record(z.string(), z.unknown())),
  /** Ask the server for progress notifications. */
  progress: z.boolean(),
  /** The call fails with `machine_timeout` when the machine sends nothing for this long. */
  timeoutMs: z.int(),
});
export type CallRequest = z.infer<typeof CallRequest>;

/** A session that appeared in the machine's events, for `get_machine`. */
export const KnownSession = z.object({ id: z.string(), firstMs: z.int(), lastMs: z.int(), lastType: z.string() });
export type KnownSession = z.infer<typeof KnownSession>;

/** A machine's presence as its script knows it. Times are in milliseconds since 1970. */
export const Presence = z.object({
  online: z.boolean(),
  /** Increases with each new link. */
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

/**
 * From a script to its owner's Agent: what changed. Facts that were reported before are left out, because they are large and
 * rarely change.
 */
export const ReportedPresence = z.extend(Presence, { facts: z.optional(z.nullable(Facts)) });
export type ReportedPresence = z.infer<typeof ReportedPresence>;

export const MachineReport = z.object({ owner: z.string(), slug: z.string(), presence: ReportedPresence });
export type MachineReport = z.infer<typeof MachineReport>;

/** In the answer to a report: what the registry lacks, and the next report must contain. The only value is `facts`. */
export const REPORT_WANTS_HEADER = "x-operator-wants";

/** Header with the key that proves which script sent a report: HMAC-SHA-256 of `owner/slug` under the control API's secret. */
export const REPORT_KEY_HEADER = "x-operator-report-key";
