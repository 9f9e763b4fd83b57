import * as z from "zod/mini";

/** What happened, in the words that a reader of the log sees. */
const AUDIT_KINDS = [
  /** A tool call, or a request to a machine that could not be read: it may have been one. */
  "call",
  /** Any other MCP request to a machine's own endpoint: a list, an opened stream, an ended session. */
  "request",
  /** An answer to a permission request. */
  "permission",
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
export type AuditKind = (typeof AUDIT_KINDS)[number];

/**
 * The three shelves of a log. Each has a table and a limit of its own, so that any number of cheap calls cannot push out
 * a sign-in, a new token or an answered permission request.
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
 * One line of a user's audit log. No argument's value and no secret is ever in it. `subject` is what it is about: a tool,
 * a token's label, a client. `digest` is SHA-256, hex, of the request's body as its bytes came in.
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

/** Characters kept of each of an entry's strings. Callers choose most of them; a name that long is no name. */
const MAX_CHARACTERS = 128;

/** The entry with every string cut to a length that a row can hold. Half a surrogate pair, which cutting may leave, is replaced. */
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
