import { randomUUID } from "node:crypto";
import { boundedSession } from "#protocol/bounded.ts";
import { PushedEvent } from "#protocol/event.ts";
import { eventData } from "#protocol/event-data.ts";
import { MAX_SEQUENCE } from "#protocol/limits.ts";
import * as z from "zod/mini";
import { parseJson } from "#protocol/json.ts";
import { describeDiskFailure, isDiskFailure, isFileFailure } from "../system/disk-failure.ts";
import { readTrustedFile } from "../system/trusted-file.ts";
import type { Spool, SpooledEvent } from "./event-sender.ts";
import { spoolFileAt, type SpoolFile } from "./spool-file.ts";

/** JSON that is kept while Operator cannot be reached: days of session activity. Beyond this the oldest half is dropped. */
export const SPOOL_CHARACTERS = 16 * 1024 * 1024;

/** Lines of acknowledged events that may accumulate in the file before it is rewritten without them. */
const STALE_LINES = 1_000;

/**
 * The last number from which a script may have this one go on. As many are left for the events that follow: a hostile one could otherwise use all
 * of them up, after which no script takes an event, and each ends the link at the first.
 */
const MAX_LEAP = MAX_SEQUENCE / 2;

/** How long to wait before the next attempt after a disk failure. Each attempt writes the whole spool. */
export const DISK_RETRY_MS = 5_000;

/** Type of the event that reports a disk failure after it is over. */
export const DISK_EVENT = "connector.disk_recovered";

/** The maximum length of `PushedEvent.type`. */
const TYPE_CHARACTERS = 64;

/** The first line of the file: the stream's id, and the last sequence number before the lines that follow. */
const Head = z.object({
  stream: z.string().check(z.minLength(1), z.maxLength(64)),
  last: z.int().check(z.nonnegative(), z.lte(MAX_SEQUENCE)),
  cursor: z.nullable(z.string()),
  /** How many processes have opened the file; absent in files of codez 0.1. */
  start: z.optional(z.int().check(z.nonnegative())),
});
/**
 * Everything that was appended at once, with the number of its first event. It is one line, so that a write which a full disk cut off
 * leaves none of it: events without their cursor would be fetched again.
 */
const Line = z.object({
  seq: z.int().check(z.positive(), z.lte(MAX_SEQUENCE)),
  cursor: z.nullable(z.string()),
  events: z.array(PushedEvent),
});
/** One event, as codez wrote it until 0.2. `cursor` is on the last event of each append that had one. */
const OldLine = z.object({
  seq: z.int().check(z.positive(), z.lte(MAX_SEQUENCE)),
  cursor: z.optional(z.string()),
  event: PushedEvent,
});

/** The events cannot be written to disk. */
export type DiskFault = { readonly sinceMs: number; readonly reason: string };

export type SpoolOptions = {
  readonly file?: SpoolFile;
  readonly nowMs?: () => number;
  /** The disk failed, or works again (`null`). */
  readonly faultChanged?: (fault: DiskFault | null) => void;
};

/**
 * Stores events on disk until the machine's script has stored them. An event is appended to the file before it counts as
 * accepted, so a process that is killed loses none. Sequence numbers increase by one for as long as the file exists.
 *
 * A full disk does not stop it. Events are then kept in memory, within the same limit, and are not sent before they are in the file:
 * the file also has the position in their source, and a process that is killed would otherwise fetch and send them once more. The file is
 * rewritten as soon as that works, and an event reports the failure. Acknowledged events that are still in the file do no harm,
 * because the script's welcome says which ones it has. That number may also be ahead of the file's; see `begin`.
 */
export class EventSpool implements Spool {
  readonly stream: string;
  readonly start: number;
  /** Number of invalid lines in the file, which were skipped. */
  readonly corrupt: number;
  readonly #file: SpoolFile;
  readonly #nowMs: () => number;
  readonly #faultChanged: (fault: DiskFault | null) => void;
  /** The last sequence number in the file when it was opened. Later ones were assigned by this process. */
  readonly #lastAtOpen: number;
  #events: SpooledEvent[];
  #last: number;
  /** The last sequence number that is in the file. */
  #written: number;
  #characters = 0;
  #stale = 0;
  #dropped = 0;
  #cursor: string | null;
  #fault: DiskFault | null = null;
  #triedMs = 0;
  #isGreeted = false;
  #isOpen = false;

  /** Opens the spool at `path`, which need not exist. Throws when the file is not accessible, but not when the disk is full. */
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
    this.#written = this.#last;
    this.#cursor = cursor;
    this.corrupt = corrupt;
    for (const event of events) this.#characters += event.json.length;
    this.#rewrite(); // ends a line that was cut off by a kill, so that the next one is not appended to it
    this.#isOpen = true;
  }

  /** Why events cannot be written to disk at the moment; `null` if they can. */
  get fault(): DiskFault | null {
    return this.#fault;
  }

  /** Number of events that were dropped because the spool was full. */
  get dropped(): number {
    return this.#dropped;
  }

  get waiting(): number {
    return this.#events.length;
  }

  /** The position in the source of the events. It is stored together with them, so that a kill neither loses nor repeats any. */
  get cursor(): string | null {
    return this.#cursor;
  }

  append(pushed: readonly PushedEvent[], cursor: string | null = null): void {
    if (pushed.length === 0) return;
    this.#cursor = cursor ?? this.#cursor;
    const seq = this.#last + 1;
    const jsons = pushed.map(jsonOf);
    for (const json of jsons) {
      this.#last += 1;
      this.#events.push({ seq: this.#last, json });
      this.#characters += json.length;
    }
    const line = `{"seq":${seq},"cursor":${JSON.stringify(cursor)},"events":[${jsons.join(",")}]}\n`;
    // After a failure the file may end in an incomplete line and lacks events, so it is rewritten completely.
    if (this.#fault === null)
      this.#write(() => {
        this.#file.append(line);
        this.#written = this.#last;
      });
    else this.retry();
    if (this.#characters > SPOOL_CHARACTERS) this.#shed();
  }

  after(seq: number, count: number): readonly SpooledEvent[] {
    const from = this.#events.findIndex((event) => event.seq > seq);
    if (from === -1) return [];
    const found = this.#events.slice(from, from + count);
    return this.#fault === null ? found : found.filter((event) => event.seq <= this.#written);
  }

  /**
   * `acked` may be ahead of the numbers in the file, if an older copy of it was put back or the power failed before the disk had the
   * last of it. Events that were appended here since then have numbers that the script has already seen, and it
   * would drop them as repeated. They are therefore renumbered. This can only happen at the first welcome; later ones are about
   * events of this process. A number beyond `MAX_LEAP` is nobody's, and says nothing about the events that are here.
   */
  begin(acked: number): void {
    if (acked > MAX_LEAP && acked > this.#last) return;
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

  /** Tries to write to the disk again, if it failed a while ago. Also called periodically without new events. */
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

  /** Drops the oldest half, because an unlimited spool would fill the disk. */
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
    const lines = this.#events.map(({ seq, json }) => `{"seq":${seq},"cursor":null,"events":[${json}]}\n`);
    this.#write(() => {
      this.#file.replace(`${head}\n${lines.join("")}`);
      this.#written = this.#last;
      this.#stale = 0;
      this.#recovered();
    });
  }

  /**
   * Runs an operation on the file. A failure is recorded instead of thrown, because the events are also in memory and are written
   * later.
   */
  #write(act: () => void): void {
    try {
      act();
    } catch (reason) {
      // At the start a person can correct the folder, so this throws. Later a failure must not end the connector.
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

/** The event's JSON. Data that is too large is replaced by its size. */
function jsonOf(event: PushedEvent): string {
  const { atMs } = event;
  const type = event.type.slice(0, TYPE_CHARACTERS);
  const session = boundedSession(event.session);
  return `${JSON.stringify({ atMs, type, session }).slice(0, -1)},"data":${eventData(event.data)}}`;
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
    const appended = appendedIn(line);
    // Without the head the stream's id is lost, and the old sequence numbers mean nothing under a new id.
    if (head === null || appended === null || appended.seq <= (events.at(-1)?.seq ?? 0)) {
      corrupt += 1;
      continue;
    }
    for (const [index, event] of appended.events.entries())
      events.push({ seq: appended.seq + index, json: JSON.stringify(event) });
    cursor = appended.cursor ?? cursor;
  }
  return { head, events, cursor, corrupt };
}

function appendedIn(line: string): z.infer<typeof Line> | null {
  const value = parseJson(line);
  const { data } = Line.safeParse(value);
  if (data !== undefined) return data;
  const old = OldLine.safeParse(value).data;
  return old === undefined ? null : { seq: old.seq, cursor: old.cursor ?? null, events: [old.event] };
}

/** What somebody else wrote there would be sent as this machine's events. Throws NotTrusted or a system error. */
function readText(path: string): string {
  return readTrustedFile(path) ?? ""; // the first start here
}
