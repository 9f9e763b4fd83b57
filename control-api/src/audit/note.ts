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

/** Entries of each user that wait to be written. */
const gathered = new Map<string, AuditEntry[]>();

/** Notes something in a user's audit log, after the response that it is about. */
export function note(env: Env, user: string, noted: Noted): void {
  waitUntil(gather(env, user, noted, Date.now() - (noted.durationMs ?? 0)));
}

/** Writes at once what this isolate has gathered of a user, for somebody who is about to read. */
export async function writeNotes(env: Env, user: string): Promise<void> {
  const entries = gathered.get(user);
  gathered.delete(user);
  if (entries !== undefined) await write(env, user, entries);
}

async function gather(env: Env, user: string, { args, ...noted }: Noted, atMs: number): Promise<void> {
  const entry = { machine: null, digest: null, outcome: "ok", durationMs: null, ...noted, atMs };
  if (args !== undefined) {
    await scheduler.wait(0); // the response goes first
    entry.digest = await digestOf(args);
  }
  const others = gathered.get(user);
  if (others !== undefined) return void others.push(entry); // the first of them sees to it that all are written
  const entries = [entry];
  gathered.set(user, entries);
  await scheduler.wait(GATHER_MS);
  if (gathered.get(user) !== entries) return; // somebody who reads was faster
  gathered.delete(user);
  await write(env, user, entries);
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
