import * as z from "zod";

/** Something that a session waits for a person to decide, as it is stored on disk. Files of version 0.2 know only permissions. */
export const PermissionRequest = z.object({
  id: z.string(),
  kind: z.enum(["permission", "question", "plan"]).default("permission"),
  session: z.string(),
  cwd: z.string(),
  tool: z.string(),
  toolUse: z.string(),
  input: z.unknown(),
  why: z.string().nullable(),
  sessionRules: z.array(z.string()).default([]),
  askedAtMs: z.number(),
  expiresAtMs: z.number(),
  settled: z
    .object({
      behavior: z.enum(["allow", "deny"]),
      /** A `Settler`. */
      by: z.string(),
      /** The person on whose word an Operator settled it. */
      who: z.string().nullable().default(null),
      reason: z.string().nullable(),
      /** The answers to a question, by its text. */
      answers: z.record(z.string(), z.string()).nullable().default(null),
      forSession: z.boolean().default(false),
      atMs: z.number(),
    })
    .nullable(),
});
export type PermissionRequest = z.infer<typeof PermissionRequest>;
export type Settlement = NonNullable<PermissionRequest["settled"]>;

/**
 * Who settled a request. The first three are decisions: at this machine (`codez permissions`), by an MCP client
 * (`respond_permission`), by a person on a page of Operator. With the others nobody could decide here any more: it was answered in the
 * terminal that asked as well, the time was up, the agent withdrew it, serve was restarted.
 */
export type Settler = "machine" | "client" | "operator" | "terminal" | "expiry" | "agent" | "restart";

const DECIDERS: ReadonlySet<string> = new Set(["machine", "client", "operator"] satisfies Settler[]);

/** Whether somebody decided, so that the same answer again is fine. */
export function isDecided({ by }: Settlement): boolean {
  return DECIDERS.has(by);
}
