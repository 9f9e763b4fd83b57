import { noteWithin } from "#protocol/keep-within.ts";
import type { EventLog } from "../event-log.ts";
import type { Growth } from "../search-index/follower.ts";
import type { Sessions } from "../session/sessions.ts";
import { MessageTeller } from "../session/tell-message.ts";

/** Sessions whose last news are in memory. Of another one, everything is told again. */
const MAX_TOLD = 1_000;

/** Copies messages of sessions that serve does not run itself, those in a terminal on this machine, into the event log. */
export class Mirror {
  readonly #events: EventLog;
  readonly #sessions: Sessions;
  readonly #messages: MessageTeller;
  readonly #startedAtMs = Date.now();
  /** What was told last of each session, so that it is not repeated with every message. */
  readonly #told = new Map<string, string>();

  constructor(events: EventLog, sessions: Sessions) {
    this.#events = events;
    this.#sessions = sessions;
    this.#messages = new MessageTeller(events);
  }

  onGrowth({ session, slug, cwd, model, isNew, added }: Growth): void {
    const news = added.filter(({ message: { atMs } }) => {
      // A fork or a resumed session begins with a copy of old messages.
      return atMs !== null && atMs >= this.#startedAtMs && !this.#sessions.isTold(session, atMs);
    });
    if (news.length === 0) return;
    if (isNew) this.#events.append("session.created", session, { slug, cwd, origin: "terminal" });
    for (const { message } of news) {
      const { id, role, parts, isAside } = message;
      if (!isAside && parts.length > 0) this.#messages.tell(session, { id, role, parts, parentToolUse: null });
    }
    const about = { slug, cwd, model };
    const told = JSON.stringify(about);
    const isTold = this.#told.get(session) === told;
    noteWithin(this.#told, MAX_TOLD, session, told);
    this.#events.append("session.updated", session, { status: "mirror", ...(isTold ? {} : about) });
  }
}
