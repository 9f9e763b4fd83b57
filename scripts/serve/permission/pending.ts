import * as z from "zod";

/** A tool use that needs approval, as it is stored on disk. */
export const PermissionRequest = z.object({
  id: z.string(),
  session: z.string(),
  cwd: z.string(),
  tool: z.string(),
  toolUse: z.string(),
  input: z.unknown(),
  why: z.string().nullable(),
  askedAtMs: z.number(),
  expiresAtMs: z.number(),
  settled: z
    .object({
      behavior: z.enum(["allow", "deny"]),
      /** `machine` (codez permissions), `client` (respond_permission), `expiry`, `agent` (withdrawn), `restart`. */
      by: z.string(),
      reason: z.string().nullable(),
      atMs: z.number(),
    })
    .nullable(),
});
export type PermissionRequest = z.infer<typeof PermissionRequest>;
export type Settlement = NonNullable<PermissionRequest["settled"]>;

/** Who settled a request. The first three are decisions; with the others nobody could decide any more. */
export type Settler = "machine" | "client" | "expiry" | "agent" | "restart";
