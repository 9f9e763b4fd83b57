import { waitUntil } from "cloudflare:workers";
import type { Env } from "../env.ts";
import { digestOf } from "./digest.ts";
import type { AuditEntry } from "./entry.ts";

/**
 * Entries wait so long for others, in this isolate's memory, so that no call waits for a write and many share one.
 * An isolate that dies on the spot takes no more than this with it. Milliseconds.
 */
const GATHER_MS = 250;

/** So many are written at once; more do not wait. */
const BATCH = 200;

/** What is noted: an entry, with the arguments of a call instead of their digest. */
export type Noted = Pick<AuditEntry, "kind" | "client" | "subject"> &
  Partial<Pick<AuditEntry, "machine" | "outcome" | "durationMs" | "digest">> & { readonly args?: unknown };

type Pending = { entries: AuditEntry[]; written: Promise<void> };

const pending = new Map<string, Pending>();

/** Notes something in a user's audit log, after the response that it is about. */
export function note(env: Env, user: string, noted: Noted): void {
  const atMs = Date.now() - (noted.durationMs ?? 0);
  waitUntil(gather(env, user, noted, atMs));
}

/** Settles when what this isolate noted so far of a user is written. */
export async function written(user: string): Promise<void> {
  await pending.get(user)?.written;
}

async function gather(env: Env, user: string, { args, ...noted }: Noted, atMs: number): Promise<void> {
  const batch = pending.get(user) ?? begin(env, user);
  const entry = { machine: null, digest: null, outcome: "ok", durationMs: null, ...noted, atMs };
  if (args !== undefined) {
    await scheduler.wait(0); // the response goes first
    entry.digest = await digestOf(args);
  }
  batch.entries.push(entry);
  await batch.written;
}

function begin(env: Env, user: string): Pending {
  const entries: AuditEntry[] = [];
  const batch: Pending = { entries, written: write(env, user, entries) };
  pending.set(user, batch);
  return batch;
}

async function write(env: Env, user: string, entries: AuditEntry[]): Promise<void> {
  await scheduler.wait(GATHER_MS);
  pending.delete(user);
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
