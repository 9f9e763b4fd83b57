import { waitUntil } from "cloudflare:workers";
import { type AuditEntry, shelfOf } from "./entry.ts";

/**
 * Entries about calls wait so long for others, in this isolate's memory, so that no call waits for a write and many share
 * one. An isolate that dies on the spot takes no more than this with it. Milliseconds.
 */
const GATHER_MS = 250;

/** So many cross to the user's object at once, and no more than these wait. */
const BATCH = 500;

/** A user's object that restarts (a deployment, an update of the platform) is back within seconds. */
const TRIES = 4;
const TRY_AGAIN_MS = 1_000;

export type AuditBindings = {
  /** The user's object, which keeps the log. */
  readonly USER: { getByName(user: string): { audit(entries: readonly AuditEntry[]): Promise<void> } };
};

/** What is noted: an entry without what can be left out. */
export type Noted = Pick<AuditEntry, "kind" | "client" | "subject"> &
  Partial<Pick<AuditEntry, "machine" | "outcome" | "durationMs" | "digest">>;

/** What is noted of a call besides how it ended. Found out when the batch is written, so that the work is in no call's path. */
export type NotedCall = () => Omit<Noted, "outcome" | "durationMs">;

type Waiting = { readonly atMs: number; readonly noted: () => Noted };

/** What waits to be written, of each user, and since when. */
const gathered = new Map<string, { readonly sinceMs: number; readonly waiting: Waiting[] }>();

/** Notes something in a user's audit log. What is not a call is rare and important: it is written at once. */
export function note(env: AuditBindings, user: string, noted: Noted): void {
  gather(env, user, { atMs: Date.now() - (noted.durationMs ?? 0), noted: () => noted });
  if (shelfOf(noted.kind) !== "call") waitUntil(writeNotes(env, user));
}

/**
 * Notes a call once it has settled. The runtime is told from the start to wait for that, so that a client which hangs up in
 * the middle cannot keep its call out of the log.
 */
export function noteCall<Result>(
  env: AuditBindings,
  user: string,
  settled: Promise<Result>,
  outcomeOf: (result: Result) => string,
  noted: NotedCall,
): void {
  const beganMs = Date.now();
  const end = (outcome: string): void => {
    const durationMs = Date.now() - beganMs;
    gather(env, user, { atMs: beganMs, noted: () => ({ ...noted(), outcome, durationMs }) });
  };
  waitUntil(
    settled.then(
      (result) => end(outcomeOf(result)),
      (reason: unknown) => end(reason instanceof Error && reason.name === "AbortError" ? "cancelled" : "failed"),
    ),
  );
}

/** Writes at once what this isolate has gathered of a user, for somebody who is about to read. */
export async function writeNotes(env: AuditBindings, user: string): Promise<void> {
  const { waiting = [] } = gathered.get(user) ?? {};
  gathered.delete(user);
  if (waiting.length > 0) await write(env, user, waiting.flatMap(entryOf));
}

function gather(env: AuditBindings, user: string, one: Waiting): void {
  const nowMs = Date.now();
  const known = gathered.get(user);
  known?.waiting.push(one);
  if (known === undefined) {
    gathered.set(user, { sinceMs: nowMs, waiting: [one] });
    waitUntil(scheduler.wait(GATHER_MS).then(() => writeNotes(env, user)));
  } else if (known.waiting.length >= BATCH || nowMs - known.sinceMs > 2 * GATHER_MS) {
    // Full; or the request that was to write it has ended without: the runtime may cut any one short. Another steps in.
    waitUntil(writeNotes(env, user));
  }
}

/** The entry, or none when it cannot be made: that is this entry's failure and no other's. */
function entryOf({ atMs, noted }: Waiting): AuditEntry[] {
  try {
    return [{ machine: null, outcome: "ok", durationMs: null, digest: null, ...noted(), atMs }];
  } catch (reason) {
    console.error("an audit entry could not be made", { reason: String(reason) });
    return [];
  }
}

async function write(env: AuditBindings, user: string, entries: readonly AuditEntry[]): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await env.USER.getByName(user).audit(entries);
    } catch (reason) {
      if (tries < TRIES) {
        await scheduler.wait(tries * TRY_AGAIN_MS);
        continue;
      }
      // The calls themselves are over, and well; that their entries are missing is for the operator to know.
      console.error("audit entries were lost", { user, entries: entries.length, reason: String(reason) });
      return;
    }
  }
}
