import * as z from "zod/mini";
import { Facts } from "./control.ts";
import { MachineState } from "./script-api.ts";

/**
 * The control API's REST surface, as `codez` uses it. Errors are `{ error: detailsOf(OperatorError) }` with the status
 * of `statusOf`; a taken name is 409 with code `name_taken`.
 *
 *   POST   /api/machines              RegisterRequest -> Registration (201 new, 200 known)
 *   GET    /api/machines              -> { machines: MachineSummary[] }
 *   GET    /api/machines/:name        -> MachineDetail
 *   PATCH  /api/machines/:name        RenameRequest -> MachineSummary
 *   DELETE /api/machines/:name        -> 204
 *   POST   /api/machines/:name/token  -> Registration with a new token; the old one is dead and its link closed
 *   GET    /api/me                    -> Me
 *   GET    /api/health                -> Health (no sign-in)
 */

/**
 * Adds a machine. `identity` is a random string that this machine (or profile) keeps: with it, a name that exists already
 * is its own and it gets it back; without it the name is taken, unless `replace` says to take it over.
 * `rotate`: make a new link token even if the machine exists (it lost its own).
 */
export const RegisterRequest = z.object({
  name: z.string(),
  identity: z.string().check(z.minLength(16), z.maxLength(128)),
  rotate: z.optional(z.boolean()),
  replace: z.optional(z.boolean()),
});
export type RegisterRequest = z.infer<typeof RegisterRequest>;

/** `token` is there once: when the machine is new or its token was rotated. */
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

/** One machine in a list, from the registry alone: no machine is asked. Times in milliseconds since 1970. */
export const MachineSummary = z.object({
  name: z.string(),
  slug: z.string(),
  status: z.enum(["online", "offline", "never_connected"]),
  lastSeenMs: z.nullable(z.int()),
  createdMs: z.int(),
  mcpUrl: z.string(),
  mcpHostUrl: z.string(),
  facts: z.nullable(Facts),
  /** Version of the script the machine runs, and whether this Operator has another to upload. */
  template: z.string(),
  outdated: z.boolean(),
});
export type MachineSummary = z.infer<typeof MachineSummary>;

/** One machine asked directly. `state` is `null` when its script did not answer, and `error` says why. */
export const MachineDetail = z.extend(MachineSummary, {
  state: z.nullable(MachineState),
  error: z.nullable(z.object({ code: z.string(), message: z.string(), retryable: z.boolean() })),
});
export type MachineDetail = z.infer<typeof MachineDetail>;

export const Me = z.object({ user: z.string(), tag: z.string(), version: z.string() });
export type Me = z.infer<typeof Me>;

export const Health = z.object({ ok: z.boolean(), version: z.string() });
export type Health = z.infer<typeof Health>;
