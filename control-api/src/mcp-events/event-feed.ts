import { hex, sha256 } from "#protocol/bytes.ts";
import { OperatorFailure } from "#protocol/error.ts";
import type { Env } from "../env.ts";
import { cursorAbout, encodeCursor } from "../events/cursor.ts";
import { type MachineEvent, poll } from "../events/poll.ts";
import type { Identified } from "../http/shown-machine.ts";
import { EventsFailure } from "./events-error.ts";

/** An entry of a person's log, its stable id, the position after it, and the computer that it came from, if that is known. */
export type FeedEvent = {
  readonly id: string;
  readonly cursor: string;
  readonly event: MachineEvent;
  readonly identity: string | null;
};

/** Entries after a position, and the position after them. `gap`: entries in between are missing. */
type FeedPage = {
  readonly events: readonly FeedEvent[];
  readonly cursor: string;
  readonly more: boolean;
  readonly gap: boolean;
};

/** What this extension needs of a person's log. Cursors are opaque to its users. */
export interface EventFeed {
  /** The position after the newest entry. */
  now(): Promise<string>;
  /**
   * Entries after `cursor`; waits up to `waitMs` if there are none yet. A cursor that the log does not reach back to is answered
   * with a gap. Throws `EventsFailure` invalid_params for what is no cursor.
   */
  read(cursor: string, waitMs: number): Promise<FeedPage>;
}

/** Characters of the hash in an event's id: 128 bits. */
const ID_CHARACTERS = 32;

/**
 * The log of the computers with these identities (`null`: all of the person's). `signal` ends a wait. `about`: the machine that the reader asks for; its
 * cursors say which one that was.
 */
export function feedOf(
  env: Env,
  user: string,
  computers: readonly string[] | null,
  signal: AbortSignal = new AbortController().signal,
  about: Identified | null = null,
): EventFeed {
  const everything = { visible: computers, machine: null, session: null, project: null, types: null, notices: false };
  const now = async (): Promise<string> => encodeCursor(await env.USER.getByName(user).newestEvent(), about);
  return {
    now,
    async read(cursor, waitMs) {
      const request = { user, ...everything, detail: "coarse", cursor, timeoutMs: waitMs, signal } as const;
      const polled = await poll(env, request).catch(asEventsFailure);
      if (polled === null) return { events: [], cursor: await now(), more: false, gap: true };
      const { result, cursors, identities } = polled;
      const events: FeedEvent[] = [];
      for (const [index, event] of result.events.entries()) {
        const after = cursors[index] ?? result.cursor;
        // An event's place in the log never changes.
        events.push({
          id: `evt_${hex(await sha256(`${user}/${after}`)).slice(0, ID_CHARACTERS)}`,
          cursor: cursorAbout(after, about),
          event,
          identity: identities[index] ?? null,
        });
      }
      return { events, cursor: cursorAbout(result.cursor, about), more: result.more, gap: result.gaps.length > 0 };
    },
  };
}

/** Answers `null` for a cursor that the log does not reach back to. */
function asEventsFailure(reason: unknown): null {
  if (reason instanceof OperatorFailure && reason.error.code === "cursor_expired") return null;
  if (reason instanceof OperatorFailure && reason.error.code === "invalid_request")
    throw new EventsFailure({
      code: "invalid_params",
      reason: "This is not a cursor of this server. Send null to start from now.",
    });
  throw reason;
}
