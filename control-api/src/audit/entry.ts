import * as z from "zod/mini";

/** What happened, in the words that a reader of the log sees. */
export const AUDIT_KINDS = [
  "call",
  "sign_in",
  "grant",
  "grant_revoked",
  "token_created",
  "token_revoked",
  "machine_added",
  "machine_changed",
  "machine_removed",
  "user_invited",
  "user_removed",
] as const;

/**
 * One line of a user's audit log. No argument's value and no secret is ever in it. `subject` is what it is about: a tool,
 * a token's label, a client. `digest` is of a call's arguments: SHA-256, hex, over JSON with sorted keys (RFC 8785's order).
 */
export const AuditEntry = z.object({
  atMs: z.int(),
  kind: z.enum(AUDIT_KINDS),
  /** Which client or sign-in did it. */
  client: z.string(),
  machine: z.nullable(z.string()),
  subject: z.nullable(z.string()),
  digest: z.nullable(z.string()),
  /** `ok`, or the code of what went wrong. */
  outcome: z.string(),
  durationMs: z.nullable(z.int()),
});
export type AuditEntry = z.infer<typeof AuditEntry>;

/** An entry as it is read: `id` rises with time and is what a reader goes on after. */
export type AuditRecord = AuditEntry & { readonly id: number };
