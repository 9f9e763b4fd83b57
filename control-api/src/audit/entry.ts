import * as z from "zod/mini";

/** Kinds of entries, as a reader of the log sees them. */
const AUDIT_KINDS = [
  /** A tool call, or a request to a machine that could not be read and may have been a tool call. */
  "call",
  /** Any other MCP request to a machine's own endpoint: listing something, opening a stream, ending a session. */
  "request",
  /** An answer to a permission request. */
  "permission",
  "sign_in",
  "signed_out",
  "credential_changed",
  "grant",
  "grant_revoked",
  "token_created",
  "token_revoked",
  "machine_added",
  "machine_changed",
  "machine_removed",
  "webhook_added",
  "webhook_removed",
  "user_invited",
  "user_removed",
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

/**
 * The log has three shelves, each with its own table and limit. Otherwise a large number of cheap calls could push a sign-in, a
 * new token or an answered permission request out of the log.
 */
export type AuditShelf = "call" | "permission" | "account";

export function shelfOf(kind: AuditKind): AuditShelf {
  switch (kind) {
    case "call":
    case "request":
      return "call";
    case "permission":
      return "permission";
    default:
      return "account";
  }
}

/**
 * One entry of a user's audit log. It never contains the value of an argument or a secret. `subject` names what the entry is
 * about: a tool, a token's label, a client. `digest` is the SHA-256 (hex) of the request body's bytes as received.
 */
export const AuditEntry = z.object({
  atMs: z.int(),
  kind: z.enum(AUDIT_KINDS),
  /** The client or token that did it. */
  client: z.string(),
  machine: z.nullable(z.string()),
  subject: z.nullable(z.string()),
  digest: z.nullable(z.string()),
  /** `ok`, or the code of what went wrong. */
  outcome: z.string(),
  durationMs: z.nullable(z.int()),
});
export type AuditEntry = z.infer<typeof AuditEntry>;

/** An entry with its id. Ids increase with time; a reader continues with `before` the last one it has seen. */
export type AuditRecord = AuditEntry & { readonly id: number };

/** Characters kept of each string in an entry. Callers choose most of these strings, and no real name is longer. */
const MAX_CHARACTERS = 128;

/** The entry with every string shortened to `MAX_CHARACTERS`. Half a surrogate pair that is left by the cut is replaced. */
export function bounded(entry: AuditEntry): AuditEntry {
  const { client, machine, subject, outcome } = entry;
  return {
    ...entry,
    client: cut(client),
    machine: machine === null ? null : cut(machine),
    subject: subject === null ? null : cut(subject),
    outcome: cut(outcome),
  };
}

function cut(text: string): string {
  return (text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)}...` : text).toWellFormed();
}
