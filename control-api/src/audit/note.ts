import { waitUntil } from "cloudflare:workers";
import type { Env } from "../env.ts";
import { digestOf } from "./digest.ts";
import type { AuditEntry } from "./entry.ts";

/**
 * Entries wait so long for others, in this isolate's memory, so that no call waits for a write and many share one.
 * An isolate that dies on the spot takes no more than this with it. Milliseconds.
 */
const GATHER_MS = 250;

/** So many cross to the user's object at once. */
const BATCH = 500;

/** What is noted: an entry, with the arguments of a call instead of their digest. */
export type Noted = Pick<AuditEntry, "kind" | "client" | "subject"> &
  Partial<Pick<AuditEntry, "machine" | "outcome" | "durationMs" | "digest">> & { readonly args?: unknown };

/** Made into an entry only when its batch is written, long after the response; `null` when there is nothing to note after all. */
type Waiting = { readonly atMs: number; readonly noted: () => Noted | null };

/** What waits to be written, of each user. */
const gathered = new Map<string, Waiting[]>();

/** Notes something in a user's audit log, after the response that it is about. */
export function note(env: Env, user: string, noted: Noted): void {
  noteLater(env, user, Date.now() - (noted.durationMs ?? 0), () => noted);
}

/** The same of what takes work to find out: the work is done when the batch is written. */
export function noteLater(env: Env, user: string, atMs: number, noted: () => Noted | null): void {
  const others = gathered.get(user);
  if (others !== undefined) return void others.push({ atMs, noted }); // the first of them sees to it that all are written
  const waiting = [{ atMs, noted }];
  gathered.set(user, waiting);
  waitUntil(writeSoon(env, user, waiting));
}

/** Writes at once what this isolate has gathered of a user, for somebody who is about to read. */
export async function writeNotes(env: Env, user: string): Promise<void> {
  const waiting = gathered.get(user);
  gathered.delete(user);
  if (waiting !== undefined) await write(env, user, waiting.flatMap(entryOf));
}

async function writeSoon(env: Env, user: string, waiting: Waiting[]): Promise<void> {
  await scheduler.wait(GATHER_MS);
  if (gathered.get(user) === waiting) await writeNotes(env, user); // else somebody who reads was faster
}

function entryOf({ atMs, noted }: Waiting): AuditEntry[] {
  const found = noted();
  if (found === null) return [];
  const { args, ...rest } = found;
  const digest = args === undefined ? null : digestOf(args);
  return [{ machine: null, outcome: "ok", durationMs: null, digest, ...rest, atMs }];
}

async function write(env: Env, user: string, entries: readonly AuditEntry[]): Promise<void> {
  for (let at = 0; at < entries.length; at += BATCH) {
    try {
      await env.USER.getByName(user).audit(entries.slice(at, at + BATCH));
    } catch (reason) {
      // The call itself is over, and well; that its entry is missing is for the operator to know.
      console.error("audit entries were lost", { user, entries: entries.length - at, reason: String(reason) });
      return;
    }
  }
}
