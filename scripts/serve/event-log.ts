import { randomBytes } from "node:crypto";
import { ServeFailure } from "./error.ts";

const EVENT_TYPES = [
  "session.created",
  "session.updated",
  "session.idle",
  "session.error",
  "turn.started",
  "message",
  "message.delta",
  "tool.started",
  "tool.finished",
  "task.started",
  "task.finished",
  "permission.requested",
  "permission.resolved",
  "question.asked",
  "question.answered",
  "plan.proposed",
  "plan.resolved",
] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/**
 * Something that happened in a session. `id` is unique across restarts: it consists of the log's epoch and the event's number.
 */
export interface ServeEvent {
  readonly id: string;
  readonly atMs: number;
  readonly type: EventType;
  readonly session: string | null;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface EventPage {
  readonly events: readonly ServeEvent[];
  readonly cursor: string;
  /** Whether events between the cursor and these are missing, because they were trimmed or date from before a restart. */
  readonly gap: boolean;
}

/** Enough for ten busy sessions over several hours. Older history is in Claude Code's own files. */
const MAX_EVENTS = 20_000;

/** Limit for the JSON of all events together, so that a few huge messages cannot exhaust memory. */
const MAX_LOG_CHARS = 32 * 1024 * 1024;

/** Events in one answer: what a model can read, and well below any client's limit for a result. */
const MAX_PAGE_EVENTS = 500;
const MAX_PAGE_CHARS = 512 * 1024;

interface Entry {
  readonly seq: number;
  readonly event: ServeEvent;
  readonly chars: number;
}

/** The recent events of all sessions, in memory. Reading consumes nothing, so any number of clients may read. */
export class EventLog {
  /**
   * Numbering starts again with each start of serve. The epoch keeps cursors of an earlier run from being mistaken for this
   * one's.
   */
  readonly #epoch = randomBytes(6).toString("hex");
  readonly #now: () => number;
  #entries: Entry[] = [];
  #chars = 0;
  #lastSeq = 0;
  readonly #listeners = new Set<(event: ServeEvent) => void>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  append(type: EventType, session: string | null, data: Readonly<Record<string, unknown>>): ServeEvent {
    this.#lastSeq += 1;
    const id = `${this.#epoch}.${this.#lastSeq}`;
    const event: ServeEvent = { id, atMs: this.#now(), type, session, data };
    const chars = JSON.stringify(event).length;
    this.#entries.push({ seq: this.#lastSeq, event, chars });
    this.#chars += chars;
    this.#trim();
    for (const listener of this.#listeners) listener(event);
    return event;
  }

  /** The cursor after the newest event. */
  get end(): string {
    return `${this.#epoch}.${this.#lastSeq}`;
  }

  subscribe(listener: (event: ServeEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** The events after a cursor, of one session or of all. Throws ServeFailure for an invalid cursor. */
  read(cursor: string, session: string | null): EventPage {
    const after = this.#parse(cursor);
    const oldest = this.#entries[0]?.seq ?? this.#lastSeq + 1;
    const gap = after === null || after + 1 < oldest;
    const start = gap ? 0 : after + 1 - oldest;
    const events: ServeEvent[] = [];
    let seen = after ?? oldest - 1;
    let chars = 0;
    for (const entry of this.#entries.slice(start)) {
      if (session !== null && entry.event.session !== session) {
        seen = entry.seq;
        continue;
      }
      if (events.length >= MAX_PAGE_EVENTS || (events.length > 0 && chars + entry.chars > MAX_PAGE_CHARS)) break;
      chars += entry.chars;
      events.push(entry.event);
      seen = entry.seq;
    }
    return { events, cursor: `${this.#epoch}.${seen}`, gap };
  }

  /** Like `read`, but if there are no events it waits for the first one, the timeout or the signal. */
  async poll(cursor: string, session: string | null, timeoutMs: number, signal?: AbortSignal): Promise<EventPage> {
    const page = this.read(cursor, session);
    if (page.events.length > 0 || page.gap || timeoutMs <= 0) return page;
    await this.#next(session, timeoutMs, signal);
    return this.read(page.cursor, session);
  }

  #next(session: string | null, timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer);
        unsubscribe();
        signal?.removeEventListener("abort", finish);
        resolve();
      };
      const timer = setTimeout(finish, timeoutMs);
      const unsubscribe = this.subscribe((event) => {
        if (session === null || event.session === session) finish();
      });
      signal?.addEventListener("abort", finish);
      if (signal?.aborted === true) finish();
    });
  }

  /** The number in a cursor of this log; `null` for a cursor from before a restart. */
  #parse(cursor: string): number | null {
    const [, epoch, digits] = /^([0-9a-f]{12})\.(\d{1,15})$/.exec(cursor) ?? [];
    if (epoch === undefined || digits === undefined) throw new ServeFailure({ code: "cursor_invalid", cursor });
    const seq = Number(digits);
    return epoch === this.#epoch && seq <= this.#lastSeq ? seq : null;
  }

  #trim(): void {
    let drop = 0;
    while (this.#entries.length - drop > MAX_EVENTS || this.#chars > MAX_LOG_CHARS) {
      const oldest = this.#entries[drop];
      if (oldest === undefined || drop === this.#entries.length - 1) break;
      this.#chars -= oldest.chars;
      drop += 1;
    }
    if (drop > 0) this.#entries.splice(0, drop);
  }
}
