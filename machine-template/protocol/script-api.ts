import * as z from "zod/mini";
import { Facts } from "./control.ts";
import { EventPush, LogPosition } from "./event.ts";
import { LinkKey } from "./link-key.ts";

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
   * page: stores these events. In pages, because a whole log of 20 MB would exist several times in the memory of three isolates.
   * GET `?numbers`: its `LogNumbers`, which have to be posted before the pages. Scripts before 0.3 do not have them.
   */
  LOG: "/operator/log",
  /**
   * GET: `LinkCredentials`, for a machine that is renamed. POST `CredentialChange`: takes effect at once, whereas the bindings of
   * an upload may take minutes to. Answers the `LinkCredentials` after the change.
   */
  CREDENTIALS: "/operator/credentials",
  /**
   * POST `Decision` (ask.ts): a person's decision, for the program behind the connector that asked. The script passes it on at the same
   * path of the link. No client reaches this path: the script relays only `MCP` for clients.
   */
  DECIDE: "/operator/decide",
  /** POST `{ session }`: deletes the events of that session, or all (`null`). */
  FORGET: "/operator/forget",
  /** POST `{ forMs }`: somebody watches, so push the pieces of unfinished messages, too, for that long. */
  LIVE: "/operator/live",
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

/** A link token that the script accepts. `expiresMs` is `null` for tokens from before 0.3. */
export const AcceptedToken = z.object({ hash: z.string(), expiresMs: z.nullable(z.int()) });
export type AcceptedToken = z.infer<typeof AcceptedToken>;

/** The computer that a machine's name belongs to, and how its connector shows that it is that computer. */
export const LinkHolder = z.object({
  /** `""` if unknown: the script is from before 0.3. */
  identity: z.string(),
  /** Oldest first. More than one only between a renewal and the first dial with the new token. */
  tokens: z.array(AcceptedToken),
  /** The public key that the link is bound to; `null` when none was shown yet. */
  key: z.nullable(LinkKey),
});
export type LinkHolder = z.infer<typeof LinkHolder>;

/** A dial with a valid token but without the right key: somebody has copied the token. */
export const KeyRefusal = z.object({
  count: z.int(),
  lastMs: z.int(),
  /** Fingerprint of the key that was shown; `null` when none was. */
  key: z.nullable(z.string()),
});
export type KeyRefusal = z.infer<typeof KeyRefusal>;

/** A holder that was replaced, and when. */
const FormerHolder = z.extend(LinkHolder, { replacedMs: z.int() });
type FormerHolder = z.infer<typeof FormerHolder>;

/** What a machine's script accepts at its link. It contains no secret: tokens are hashed, keys are public. */
export const LinkCredentials = z.extend(LinkHolder, {
  /** When the control API last issued a token or a key, in milliseconds since 1970. A change with an earlier time is ignored. */
  issuedMs: z.int(),
  refused: z.nullable(KeyRefusal),
  /** The computer that had the name before another took it over, or the same one with the key that it had before. */
  earlier: z.nullable(FormerHolder),
  /** Those before `earlier`, the last one first. Absent in what 0.3 stored at first. */
  older: z.optional(z.array(FormerHolder)),
});
export type LinkCredentials = z.infer<typeof LinkCredentials>;

export const CredentialChange = z.discriminatedUnion("change", [
  /** A new token. Without `key`: the holder's key stays, unless the identity is another. */
  z.object({
    change: z.literal("issue"),
    issuedMs: z.int(),
    identity: z.string(),
    token: AcceptedToken,
    key: z.optional(LinkKey),
  }),
  /** The same computer shows another key, because it lost the one before. Ignored while the link is not bound. */
  z.object({ change: z.literal("rebind"), issuedMs: z.int(), key: LinkKey }),
  /** Makes the earlier holder the holder again. Repeated, it goes back one by one. */
  z.object({ change: z.literal("restore"), issuedMs: z.int() }),
  /** The machine was renamed: this is what its script had under the old name. */
  z.object({ change: z.literal("move"), credentials: LinkCredentials }),
]);
export type CredentialChange = z.infer<typeof CredentialChange>;

/** What people see of a machine's link. */
export const LinkStatus = z.object({
  /** Fingerprint of the key that the link is bound to; `null` when it is not bound. */
  key: z.nullable(z.string()),
  /** When the current token expires; `null` for tokens from before 0.3, which do not. */
  tokenExpiresMs: z.nullable(z.int()),
  refused: z.nullable(KeyRefusal),
  /** When the name, or the key, last passed to another holder; `null` when there is nothing that `codez restore` could undo. */
  takenOverMs: z.nullable(z.int()),
});
export type LinkStatus = z.infer<typeof LinkStatus>;

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
  /** Absent from scripts before 0.3. */
  link: z.optional(LinkStatus),
});
export type Presence = z.infer<typeof Presence>;

export const MachineState = z.extend(Presence, {
  /** A hosted server's: the version of the wrapper that answers. Wrappers before 0.3 do not say it. */
  wrapper: z.optional(z.string()),
  exchanges: z.int(),
  sessions: z.array(KnownSession),
});
export type MachineState = z.infer<typeof MachineState>;

/**
 * From a script to its owner's Agent: what changed. Facts that were reported before are left out, because they are large and
 * rarely change.
 */
export const ReportedPresence = z.extend(Presence, {
  facts: z.optional(z.nullable(Facts)),
  /** Of the computer that the link accepts, so that a late report of a renamed machine is not taken for another's that has its name now. */
  identity: z.optional(z.string()),
});
export type ReportedPresence = z.infer<typeof ReportedPresence>;

export const MachineReport = z.object({
  owner: z.string(),
  slug: z.string(),
  presence: ReportedPresence,
  /** Absent from scripts of templates before 0.3, which are asked for their events instead. */
  push: z.optional(EventPush),
});
export type MachineReport = z.infer<typeof MachineReport>;

/**
 * The numbers of a log that is continued by another script: its epoch and end, so that nothing which was pushed before is pushed
 * again, and the last number of each connector's stream, so that nothing which was stored before is stored again.
 */
export const LogNumbers = z.object({
  position: LogPosition,
  pushed: z.int(),
  streams: z.array(z.object({ id: z.string(), acked: z.int() })),
});
export type LogNumbers = z.infer<typeof LogNumbers>;

/**
 * In the answer to a report with a push: up to which number of this log the owner's object has the events. The script goes on
 * from there, even if that is before what it had pushed already.
 */
export const REPORT_STORED_HEADER = "x-operator-stored";

/** In the answer to a report: somebody watches, so push the pieces of unfinished messages, too, for so many milliseconds. */
export const REPORT_LIVE_HEADER = "x-operator-live";

/** In the answer to a report: what the registry lacks, and the next report must contain. The only value is `facts`. */
export const REPORT_WANTS_HEADER = "x-operator-wants";

/** Header with the key that proves which script sent a report: HMAC-SHA-256 of `owner/slug` under the control API's secret. */
export const REPORT_KEY_HEADER = "x-operator-report-key";
