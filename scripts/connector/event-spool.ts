import { randomUUID } from "node:crypto";
import { appendFileSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { PushedEvent } from "#protocol/event.ts";
import { MAX_EVENT_BYTES } from "#protocol/limits.ts";
import * as z from "zod/mini";
import { parseJson } from "#protocol/json.ts";
import type { Spool, SpooledEvent } from "./event-sender.ts";

/** JSON held for a machine whose Operator cannot be reached: days of session activity. Past it the oldest half goes. */
export const SPOOL_CHARACTERS = 16 * 1024 * 1024;

/** Lines of stored events that may gather in the file before it is written anew without them. */
const STALE_LINES = 1_000;

/** `PushedEvent.type` is that long at most. */
const TYPE_CHARACTERS = 64;

/** First line of the file: the stream's name, and the last sequence given before the lines that follow. */
const Head = z.object({
  stream: z.string().check(z.minLength(1), z.maxLength(64)),
  last: z.int(),
  cursor: z.nullable(z.string()),
  /** How many processes have opened the file; absent in files of codez 0.1. */
  start: z.optional(z.int().check(z.nonnegative())),
});
/** `cursor` is on the last event of each append that had one. */
const Line = z.object({ seq: z.int(), cursor: z.optional(z.string()), event: PushedEvent });

/**
 * Events on disk until the machine's script has stored them: one file, appended to before an event counts as taken, so
 * that a process that is killed loses none. Numbers rise by one for as long as the file lives.
 */
export class EventSpool implements Spool {
  readonly stream: string;
  readonly start: number;
  /** Lines of the file that were no events, and were skipped. */
  readonly corrupt: number;
  readonly #path: string;
  #events: SpooledEvent[];
  #last: number;
  #characters = 0;
  #stale = 0;
  #dropped = 0;
  #cursor: string | null;

  /** Opens the spool at `path`, which need not exist. Throws when the file can be neither read nor written. */
  constructor(path: string) {
    this.#path = path;
    const { head, events, corrupt, cursor } = read(path);
    this.stream = head?.stream ?? randomUUID();
    this.start = (head?.start ?? 0) + 1;
    this.#events = events;
    this.#last = Math.max(head?.last ?? 0, events.at(-1)?.seq ?? 0);
    this.#cursor = cursor;
    this.corrupt = corrupt;
    for (const event of events) this.#characters += event.json.length;
    this.#rewrite(); // a line that a kill cut off must not swallow the next one
  }

  /** Events that were dropped because nobody fetched them for too long. */
  get dropped(): number {
    return this.#dropped;
  }

  get waiting(): number {
    return this.#events.length;
  }

  /** Where the source of the events was read up to; stored with them, so that a kill neither loses nor repeats any. */
  get cursor(): string | null {
    return this.#cursor;
  }

  append(pushed: readonly PushedEvent[], cursor: string | null = null): void {
    if (pushed.length === 0) return;
    this.#cursor = cursor ?? this.#cursor;
    const lines: string[] = [];
    for (const event of pushed) {
      this.#last += 1;
      const json = jsonOf(event);
      this.#events.push({ seq: this.#last, json });
      this.#characters += json.length;
      const mark = cursor !== null && lines.length === pushed.length - 1 ? `"cursor":${JSON.stringify(cursor)},` : "";
      lines.push(`{"seq":${this.#last},${mark}"event":${json}}\n`);
    }
    appendFileSync(this.#path, lines.join(""));
    if (this.#characters > SPOOL_CHARACTERS) this.#shed();
  }

  after(seq: number, count: number): readonly SpooledEvent[] {
    const from = this.#events.findIndex((event) => event.seq > seq);
    return from === -1 ? [] : this.#events.slice(from, from + count);
  }

  acknowledge(seq: number): void {
    const kept = this.#events.findIndex((event) => event.seq > seq);
    const stored = kept === -1 ? this.#events.length : kept;
    if (stored === 0) return;
    this.#remove(stored);
    this.#stale += stored;
    if (this.#events.length === 0 || this.#stale >= STALE_LINES) this.#rewrite();
  }

  /** Drops the oldest half, since an endless spool would fill the disk. */
  #shed(): void {
    const half = Math.ceil(this.#events.length / 2);
    this.#dropped += half;
    this.#remove(half);
    this.#rewrite();
  }

  #remove(count: number): void {
    for (const { json } of this.#events.splice(0, count)) this.#characters -= json.length;
  }

  #rewrite(): void {
    const head = JSON.stringify({ stream: this.stream, last: this.#last, cursor: this.#cursor, start: this.start });
    const lines = this.#events.map(({ seq, json }) => `{"seq":${seq},"event":${json}}\n`);
    const fresh = `${this.#path}.new`;
    writeFileSync(fresh, `${head}\n${lines.join("")}`, { mode: 0o600 });
    renameSync(fresh, this.#path);
    this.#stale = 0;
  }
}

/** The event as it is sent; of data that is too large only its size. */
function jsonOf(event: PushedEvent): string {
  const type = event.type.slice(0, TYPE_CHARACTERS);
  const data = JSON.stringify(event.data ?? null);
  if (data.length <= MAX_EVENT_BYTES) return JSON.stringify({ ...event, type, data: event.data ?? null });
  return JSON.stringify({ ...event, type, data: { truncated: true, bytes: data.length } });
}

type Content = {
  head: z.infer<typeof Head> | null;
  events: SpooledEvent[];
  cursor: string | null;
  corrupt: number;
};

function read(path: string): Content {
  const [first = "", ...lines] = readText(path).split("\n");
  const head = Head.safeParse(parseJson(first)).data ?? null;
  const events: SpooledEvent[] = [];
  let cursor = head?.cursor ?? null;
  let corrupt = first === "" || head !== null ? 0 : 1;
  for (const line of lines) {
    if (line === "") continue;
    const { data } = Line.safeParse(parseJson(line));
    // Without its head the stream's name is lost; under a new name the old numbers would mean nothing.
    if (head === null || data === undefined || data.seq <= (events.at(-1)?.seq ?? 0)) {
      corrupt += 1;
      continue;
    }
    events.push({ seq: data.seq, json: JSON.stringify(data.event) });
    cursor = data.cursor ?? cursor;
  }
  return { head, events, cursor, corrupt };
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (reason) {
    if (reason instanceof Error && "code" in reason && reason.code === "ENOENT") return ""; // the first start here
    throw reason;
  }
}
