import type { EventFrame } from "#protocol/control.ts";
import type { PushedEvent } from "#protocol/event.ts";
import { MAX_EVENTS_PER_FRAME } from "#protocol/limits.ts";

/**
 * Events in one frame, in characters of JSON: far below the limit of a WebSocket message, so that calls get their turn in
 * between.
 */
const FRAME_CHARACTERS = 256 * 1024;

/** An event that waits to be acknowledged. `json` is a `PushedEvent`. */
export type SpooledEvent = { readonly seq: number; readonly json: string };

/** Where events wait until the script has stored them. */
export interface Spool {
  /** The id of this sequence of events. */
  readonly stream: string;
  /** How many processes have opened this sequence, including this one. It orders their dials. */
  readonly start: number;
  /** Up to `count` events, from the oldest that is after `seq`. */
  after(seq: number, count: number): readonly SpooledEvent[];
  /** Called when a link opens: the script has stored the events up to and including `acked`. */
  begin(acked: number): void;
  /** Drops the events up to and including `seq`, which the script has stored. */
  acknowledge(seq: number): void;
}

/** A spool without events, for a link that is opened only to check that it works. */
export function emptySpool(stream: string): Spool {
  return { stream, start: 0, after: () => [], begin: () => undefined, acknowledge: () => undefined };
}

/** Sends the spool over one link, one frame at a time. The next frame is sent when the previous one is acknowledged. */
export class EventSender {
  readonly #spool: Spool;
  readonly #say: (frame: EventFrame) => void;
  #acked = 0;
  #sent = 0;

  constructor(spool: Spool, say: (frame: EventFrame) => void) {
    this.#spool = spool;
    this.#say = say;
  }

  /** Starts sending. The script has stored the events up to `acked`; newer ones are sent (again). */
  begin(acked: number): void {
    this.#spool.begin(acked);
    this.#acked = acked;
    this.#sent = acked;
    this.send();
  }

  /** Returns `false` when these events were not sent: nobody has stored them. */
  acknowledge(seq: number): boolean {
    if (seq > this.#sent) return false;
    this.#spool.acknowledge(seq);
    this.#acked = Math.max(this.#acked, seq);
    this.send();
    return true;
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
      // A frame numbers its events consecutively from `first`. Where the spool has lost events, a new frame begins.
      if (seq !== first.seq + events.length || (characters > FRAME_CHARACTERS && events.length > 0)) break;
      events.push(JSON.parse(json));
    }
    this.#sent = first.seq + events.length - 1;
    this.#say({ type: "event", first: first.seq, events });
  }
}
