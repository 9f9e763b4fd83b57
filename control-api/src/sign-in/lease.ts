import type { Env } from "../env.ts";
import type { Caller } from "../http/caller.ts";
import { ended } from "../http/ended.ts";
import { authenticate } from "./authenticate.ts";

/** What takes no longer than this is not watched: nearly every call is over by then, and pays for a timer only. Milliseconds. */
const WATCH_AFTER_MS = 1_000;

/** Without a word of a revocation a caller is asked about again after so long, for what ends by time. Milliseconds. */
const ASK_AGAIN_MS = 60_000;

/** When the user's object did not answer (it restarts after a deployment). Milliseconds. */
const RETRY_MS = 5_000;

/**
 * What lets a request go on for longer than a moment: its caller would still be let in. Every revocation rings a bell at
 * its user's object, on which each open stream and long-poll of that user waits; when it rings, they authenticate anew,
 * and those that would be refused now, or may do something else than before, end. Nobody polls.
 */
export class Lease {
  readonly #controller = new AbortController();

  constructor(request: Request, env: Env, url: URL, caller: Caller) {
    setTimeout(() => void this.#watch(request, env, url, caller), WATCH_AFTER_MS);
  }

  /** Aborted when the caller is not let in any more. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The same event stream, which breaks off when the lease ends. Any other response is whole, or soon. */
  cover(response: Response): Response {
    if (response.body === null || response.headers.get("content-type")?.startsWith("text/event-stream") !== true)
      return response;
    const { readable, writable } = new IdentityTransformStream();
    void response.body.pipeTo(writable, { signal: this.signal }).catch(() => undefined); // either end has gone, or the lease
    return new Response(readable, response);
  }

  /** Settles like `promise`, or with `null` when the lease ends first. */
  during<Result>(promise: Promise<Result>): Promise<Result | null> {
    return Promise.race([promise, ended(this.signal)]);
  }

  async #watch(request: Request, env: Env, url: URL, caller: Caller): Promise<void> {
    for (;;) {
      // First the bell, then the question: what is revoked between the two is not missed.
      const bell = ring(env, caller.user);
      if (!(await isStillLetIn(request, env, url, caller))) return this.#controller.abort();
      await bell;
    }
  }
}

async function ring(env: Env, user: string): Promise<void> {
  try {
    await env.USER.getByName(user).awaitRevocation(ASK_AGAIN_MS);
  } catch (reason) {
    console.warn("a user's object could not be waited on", { user, reason: String(reason) });
    await scheduler.wait(RETRY_MS);
  }
}

async function isStillLetIn(request: Request, env: Env, url: URL, caller: Caller): Promise<boolean> {
  const found = await authenticate(request, env, url);
  // When nobody can say, those who were let in stay; it is asked again.
  if ("refused" in found) return found.refused === "unavailable";
  return limitsOf(found) === limitsOf(caller);
}

function limitsOf({ user, machines, scopes }: Caller): string {
  return JSON.stringify([user, machines, scopes]);
}
