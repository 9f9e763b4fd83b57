import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { PushedEvent } from "#protocol/event.ts";
import { MAX_EVENT_BYTES } from "#protocol/limits.ts";
import * as z from "zod/mini";
import { parseJson } from "#protocol/json.ts";
import { describeDiskFailure, isDiskFailure, isFileFailure } from "../system/disk-failure.ts";
import type { Spool, SpooledEvent } from "./event-sender.ts";
import { spoolFileAt, type SpoolFile } from "./spool-file.ts";

/** JSON held for a machine whose Operator cannot be reached: days of session activity. Past it the oldest half goes. */
export const SPOOL_CHARACTERS = 16 * 1024 * 1024;

/** Lines of stored events that may gather in the file before it is written anew without them. */
const STALE_LINES = 1_000;

/** How long a disk that failed is left alone. Each new attempt writes the whole spool. */
export const DISK_RETRY_MS = 5_000;

/** The event that tells, once the disk works again, that it did not. */
export const DISK_EVENT = "connector.disk_recovered";

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

/** A disk that does not take the events. */
export type DiskFault = { readonly sinceMs: number; readonly reason: string };

export type SpoolOptions = {
  readonly file?: SpoolFile;
  readonly nowMs?: () => number;
  /** The disk failed, or works again (`null`). */
  readonly faultChanged?: (fault: DiskFault | null) => void;
};

/**
 * Events on disk until the machine's script has stored them: one file, appended to before an event counts as taken, so
 * that a process that is killed loses none. Numbers rise by one for as long as the file lives.
 *
 * On a full disk it lives on: events are held in memory, within the same limit, and sent as ever; the file is written anew
 * as soon as that works, and an event tells of it. A process that is killed *in that state* loses what was held in memory
 * alone and not sent yet. What the file still holds of events that were acknowledged does no harm: the script's welcome says
 * how far it is. Its acknowledgement may also be ahead of the file's numbers; see `begin`.
 */
export class EventSpool implements Spool {
  readonly stream: string;
  readonly start: number;
  /** Lines of the file that were no events, and were skipped. */
  readonly corrupt: number;
  readonly #file: SpoolFile;
  readonly #nowMs: () => number;
  readonly #faultChanged: (fault: DiskFault | null) => void;
  /** The last number that the file knew when it was opened. Later ones are this process's own. */
  readonly #lastAtOpen: number;
  #events: SpooledEvent[];
  #last: number;
  #characters = 0;
  #stale = 0;
  #dropped = 0;
  #cursor: string | null;
  #fault: DiskFault | null = null;
  #triedMs = 0;
  #isGreeted = false;
  #isOpen = false;

  /** Opens the spool at `path`, which need not exist. Throws when it may not be read or written; a full disk is no reason. */
  constructor(path: string, { file = spoolFileAt(path), nowMs = Date.now, faultChanged }: SpoolOptions = {}) {
    this.#file = file;
    this.#nowMs = nowMs;
    this.#faultChanged = faultChanged ?? (() => undefined);
    const { head, events, corrupt, cursor } = read(path);
    this.stream = head?.stream ?? randomUUID();
    this.start = (head?.start ?? 0) + 1;
    this.#events = events;
    this.#last = Math.max(head?.last ?? 0, events.at(-1)?.seq ?? 0);
    this.#lastAtOpen = this.#last;
    this.#cursor = cursor;
    this.corrupt = corrupt;
    for (const event of events) this.#characters += event.json.length;
    this.#rewrite(); // a line that a kill cut off must not swallow the next one
    this.#isOpen = true;
  }

  /** Why events are not on disk now; `null`: they are. */
  get fault(): DiskFault | null {
    return this.#fault;
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
    // After a failure the file may end in half a line, and lacks what was not written: it is written anew as a whole.
    if (this.#fault === null) this.#write(() => this.#file.append(lines.join("")));
    else this.retry();
    if (this.#characters > SPOOL_CHARACTERS) this.#shed();
  }

  after(seq: number, count: number): readonly SpooledEvent[] {
    const from = this.#events.findIndex((event) => event.seq > seq);
    return from === -1 ? [] : this.#events.slice(from, from + count);
  }

  /**
   * The script's number may be ahead of the file's when the process that sent those events was killed with a full disk. Events
   * that were appended here since then were never sent, but have numbers that the script has seen: they are numbered anew, or
   * it would drop them as repeated. Only its first word can tell; later ones are about this process's own events.
   */
  begin(acked: number): void {
    if (!this.#isGreeted && acked > this.#lastAtOpen) this.#renumber(acked);
    else this.acknowledge(acked);
    this.#isGreeted = true;
  }

  acknowledge(seq: number): void {
    const kept = this.#events.findIndex((event) => event.seq > seq);
    const stored = kept === -1 ? this.#events.length : kept;
    if (stored === 0) return;
    this.#remove(stored);
    this.#stale += stored;
    if (this.#events.length === 0 || this.#stale >= STALE_LINES) this.#rewrite();
  }

  /** Tries the disk again, if it failed a while ago. Also called from time to time without an event. */
  retry(): void {
    if (this.#fault !== null && this.#nowMs() - this.#triedMs >= DISK_RETRY_MS) this.#rewrite();
  }

  #renumber(acked: number): void {
    const own = this.#events.filter((event) => event.seq > this.#lastAtOpen);
    this.#events = own.map(({ json }, index) => ({ seq: acked + 1 + index, json }));
    this.#characters = own.reduce((sum, { json }) => sum + json.length, 0);
    this.#last = acked + own.length;
    this.#rewrite();
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
    if (this.#fault !== null && this.#nowMs() - this.#triedMs < DISK_RETRY_MS) return;
    const head = JSON.stringify({ stream: this.stream, last: this.#last, cursor: this.#cursor, start: this.start });
    const lines = this.#events.map(({ seq, json }) => `{"seq":${seq},"event":${json}}\n`);
    this.#write(() => {
      this.#file.replace(`${head}\n${lines.join("")}`);
      this.#stale = 0;
      this.#recovered();
    });
  }

  /** Does something to the file. A failure is noted and not thrown: what was appended is held in memory, and sent. */
  #write(act: () => void): void {
    try {
      act();
    } catch (reason) {
      // At the start a person is there to give the right folder; later on, whatever happens to it is no reason to end.
      if (!isDiskFailure(reason) && !(this.#isOpen && isFileFailure(reason))) throw reason;
      this.#triedMs = this.#nowMs();
      if (this.#fault !== null) return;
      this.#fault = { sinceMs: this.#triedMs, reason: describeDiskFailure(reason) };
      this.#faultChanged(this.#fault);
    }
  }

  #recovered(): void {
    if (this.#fault === null) return;
    const { reason, sinceMs } = this.#fault;
    this.#fault = null;
    const atMs = this.#nowMs();
    const data = { reason, sinceMs, untilMs: atMs, dropped: this.#dropped };
    this.append([{ atMs, type: DISK_EVENT, session: null, data }]);
    this.#faultChanged(null);
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
