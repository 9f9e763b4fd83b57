import * as z from "zod/mini";
import { Facts } from "./control.ts";
import { LinkKey } from "./link-key.ts";
import { LinkStatus, MachineState } from "./script-api.ts";

/**
 * The part of the control API's REST interface that `codez` uses. Errors are `{ error: detailsOf(OperatorError) }` with the
 * HTTP status of `statusOf`; a taken name, for example, is 409 with code `name_taken`.
 *
 *   POST   /api/machines              RegisterRequest -> Registration (201 new, 200 known)
 *   GET    /api/machines              -> { machines: MachineSummary[] }
 *   GET    /api/machines/:name        -> MachineDetail
 *   PATCH  /api/machines/:name        RenameRequest -> MachineSummary
 *   DELETE /api/machines/:name        -> 204
 *   POST   /api/machines/:name/token  RotateRequest -> Registration with a new token; the old one is revoked and its link closed
 *   POST   /api/machines/:name/restore -> MachineSummary; the computer that had the name before the last takeover has it again
 *   GET    /api/me                    -> Me
 *   GET    /api/health                -> Health (no sign-in)
 */

/**
 * Adds a machine. `identity` is a random string that the machine's profile keeps. If the name exists already and belongs to
 * the same identity, the machine gets it back. If it belongs to another one, the request fails with `name_taken`, unless
 * `replace` asks to take the name over. `rotate` asks for a new link token even if the machine exists, because its own is lost.
 */
export const RegisterRequest = z.object({
  name: z.string(),
  identity: z.string().check(z.minLength(16), z.maxLength(128)),
  rotate: z.optional(z.boolean()),
  replace: z.optional(z.boolean()),
  /** The public key to which the link must be bound. Absent from connectors before 0.3. */
  linkKey: z.optional(LinkKey),
});
export type RegisterRequest = z.infer<typeof RegisterRequest>;

/** The body may be absent, as from connectors before 0.3. */
export const RotateRequest = z.object({ linkKey: z.optional(LinkKey) });
export type RotateRequest = z.infer<typeof RotateRequest>;

/** `token` is present only when the machine is new or its token was rotated. Operator keeps just a hash of it. */
export const Registration = z.object({
  name: z.string(),
  slug: z.string(),
  /** `ws:` or `wss:` address to dial. */
  linkUrl: z.string(),
  /** The machine's own MCP endpoints: by path, and by host (which needs a wildcard certificate when not on localhost). */
  mcpUrl: z.string(),
  mcpHostUrl: z.string(),
  token: z.nullable(z.string()),
});
export type Registration = z.infer<typeof Registration>;

export const RenameRequest = z.object({ name: z.string() });
export type RenameRequest = z.infer<typeof RenameRequest>;

/** One machine in a list. It comes from the registry; no machine is asked. Times are in milliseconds since 1970. */
export const MachineSummary = z.object({
  name: z.string(),
  slug: z.string(),
  status: z.enum(["online", "offline", "never_connected"]),
  lastSeenMs: z.nullable(z.int()),
  createdMs: z.int(),
  mcpUrl: z.string(),
  mcpHostUrl: z.string(),
  facts: z.nullable(Facts),
  /** Version of the machine's script, and whether this Operator has a different one to upload. */
  template: z.string(),
  outdated: z.boolean(),
  /** As last reported; `null` when the script never told. Absent from an Operator before 0.3. */
  link: z.optional(z.nullable(LinkStatus)),
  /** A hosted server (hosted-server.ts), which is always online. Absent for a machine. */
  kind: z.optional(z.literal("hosted")),
});
export type MachineSummary = z.infer<typeof MachineSummary>;

/** One machine, whose script was asked. `state` is `null` when the script did not answer; `error` then says why. */
export const MachineDetail = z.extend(MachineSummary, {
  state: z.nullable(MachineState),
  error: z.nullable(z.object({ code: z.string(), message: z.string(), retryable: z.boolean() })),
});
export type MachineDetail = z.infer<typeof MachineDetail>;

/** The signed-in user. `tag` ends the slugs of their machines, `version` is Operator's. */
export type Me = { user: string; tag: string; version: string };

export type Health = { ok: boolean; version: string };
