import type { EventFrame } from "#protocol/control.ts";
import type { PushedEvent } from "#protocol/event.ts";
import { MAX_EVENTS_PER_FRAME } from "#protocol/limits.ts";

/** Events of one frame, in characters of JSON: far below what a WebSocket message may be, and a pause for calls in between. */
const FRAME_CHARACTERS = 256 * 1024;

/** An event waiting to be acknowledged. `json` is a `PushedEvent`. */
export type SpooledEvent = { readonly seq: number; readonly json: string };

/** Where events wait until the script has stored them. */
export interface Spool {
  /** The name of this sequence of events. */
  readonly stream: string;
  /** How many processes have opened this sequence, this one included: orders their dials. */
  readonly start: number;
  /** Up to `count` events, from the oldest that is after `seq`. */
  after(seq: number, count: number): readonly SpooledEvent[];
  /** The script's first word on a link: events up to and including `acked` are stored. */
  begin(acked: number): void;
  /** Events up to and including `seq` are stored; they are dropped here. */
  acknowledge(seq: number): void;
}

/** No events at all: for a link that only proves itself. */
export function emptySpool(stream: string): Spool {
  return { stream, start: 0, after: () => [], begin: () => undefined, acknowledge: () => undefined };
}

/** Sends the spool over one link, one frame at a time: the next goes when the last is acknowledged. */
export class EventSender {
  readonly #spool: Spool;
  readonly #say: (frame: EventFrame) => void;
  #acked = 0;
  #sent = 0;

  constructor(spool: Spool, say: (frame: EventFrame) => void) {
    this.#spool = spool;
    this.#say = say;
  }

  /** The script has stored the events up to `acked`; what is newer is sent (again). */
  begin(acked: number): void {
    this.#spool.begin(acked);
    this.#acked = acked;
    this.#sent = acked;
    this.send();
  }

  acknowledge(seq: number): void {
    this.#spool.acknowledge(seq);
    this.#acked = Math.max(this.#acked, seq);
    this.send();
  }

  send(): void {
    if (this.#sent > this.#acked) return;
    const waiting = this.#spool.after(this.#acked, MAX_EVENTS_PER_FRAME);
    const [first] = waiting;
    if (first === undefined) return;
    const events: PushedEvent[] = [];
    let characters = 0;
    for (const { seq, json } of waiting) {
      characters += json.length;
      // The frame numbers its events from `first` on; where the spool has lost some, a new frame begins.
      if (seq !== first.seq + events.length || (characters > FRAME_CHARACTERS && events.length > 0)) break;
      events.push(JSON.parse(json));
    }
    this.#sent = first.seq + events.length - 1;
    this.#say({ type: "event", first: first.seq, events });
  }
}
