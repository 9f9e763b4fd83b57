import { waitUntil } from "cloudflare:workers";
import { type AuditEntry, shelfOf } from "./entry.ts";

/**
 * Entries about calls are gathered in this isolate's memory for this long and then written together. So no call waits for a
 * write, and many calls share one. If the isolate is killed, at most the entries of this period are lost. Milliseconds.
 */
const GATHER_MS = 250;

/** Entries per write, and at most this many wait in memory. */
const BATCH = 500;

/** Attempts to write a batch. A user's object that restarts (a deployment, an update of the platform) is back within seconds. */
const TRIES = 4;
const TRY_AGAIN_MS = 1_000;

export type AuditBindings = {
  /** The user's object, which stores the log. */
  readonly USER: { getByName(user: string): { audit(entries: readonly AuditEntry[]): Promise<void> } };
};

/** An entry as its author passes it: optional fields may be left out. */
export type Noted = Pick<AuditEntry, "kind" | "client" | "subject"> &
  Partial<Pick<AuditEntry, "machine" | "outcome" | "durationMs" | "digest">>;

/** Describes a call, without its outcome. Evaluated when the batch is written, so that no call waits for this work. */
export type NotedCall = () => Omit<Noted, "outcome" | "durationMs">;

type Waiting = { readonly atMs: number; readonly noted: () => Noted };

/** Entries that wait to be written, by user, and since when. */
const gathered = new Map<string, { readonly sinceMs: number; readonly waiting: Waiting[] }>();

/** Records something in a user's audit log. Everything except calls is rare and important, so it is written immediately. */
export function note(env: AuditBindings, user: string, noted: Noted): void {
  gather(env, user, { atMs: Date.now() - (noted.durationMs ?? 0), noted: () => noted });
  if (shelfOf(noted.kind) !== "call") waitUntil(writeNotes(env, user));
}

/**
 * Records a call once it has settled. `waitUntil` is called at the start, so that a client cannot keep its call out of the log by
 * hanging up in the middle of it.
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

/** Writes a user's gathered entries of this isolate immediately, for a reader who is about to read the log. */
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
    // The batch is full, or the request that had to write it has ended before it could: the runtime may end any request
    // early. This request writes the batch instead.
    waitUntil(writeNotes(env, user));
  }
}

/** The entry, or an empty list when it cannot be made, so that the rest of the batch is still written. */
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
      // The calls themselves have succeeded. Only the operator needs to know that their entries are missing.
      console.error("audit entries were lost", { user, entries: entries.length, reason: String(reason) });
      return;
    }
  }
}
