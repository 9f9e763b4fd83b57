import type { Dial, Facts, FromScript } from "#protocol/control.ts";
import type { PushedEvent } from "#protocol/event.ts";
import { PROTOCOL_VERSION } from "#protocol/limits.ts";
import { isFatal, CloseCode } from "#protocol/close-code.ts";
import { EventSender, type Spool, type SpooledEvent } from "../../scripts/connector/event-sender.ts";
import { kernel } from "./runtime/kernel.ts";
import type { SimulatedSocket } from "./runtime/socket.ts";

const FACTS: Facts = {
  hostname: "simulated", os: "linux", arch: "x64", cpus: 1, memoryBytes: 1, codez: "0.3.0", agent: null, repos: [], capabilities: [],
}; // prettier-ignore

/** An event that this computer has made, for the model. `n` rises by one. */
export type Made = {
  readonly n: number;
  readonly type: string;
  readonly session: string | null;
  readonly data: Record<string, unknown>;
  isForgotten?: boolean;
  mayBeMissing?: boolean;
  /** Its connector had not been told that it is stored when its script lost its storage. */
  mayRepeat?: boolean;
};

/** The connector's spool, which a restart of its process does not lose. */
class MemorySpool implements Spool {
  readonly stream: string;
  start = 1;
  #events: SpooledEvent[] = [];
  #last = 0;

  constructor(stream: string) {
    this.stream = stream;
  }

  append(event: PushedEvent): void {
    this.#last += 1;
    this.#events.push({ seq: this.#last, json: JSON.stringify(event) });
  }

  after(seq: number, count: number): readonly SpooledEvent[] {
    return this.#events.filter((event) => event.seq > seq).slice(0, count);
  }

  begin(acked: number): void {
    this.acknowledge(acked);
  }

  acknowledge(seq: number): void {
    this.#events = this.#events.filter((event) => event.seq > seq);
  }

  get waiting(): number {
    return this.#events.length;
  }
}

/** A computer with its connector: it makes events, and dials its script. It has a clock of its own. */
export class Computer {
  readonly identity: string;
  readonly owner: string;
  name: string;
  slug: string;
  token: string;
  /** Its machine was removed, or another computer has its name. */
  isGone = false;
  /** Its script lost its storage, and with it that there was a link whose end is to be told. */
  hasLostScript = false;
  readonly made: Made[] = [];
  readonly spool: MemorySpool;
  skewMs = 0;
  /** What this computer tells of itself. */
  facts: Facts = FACTS;
  #toldFacts: Facts | null = null;
  /** Frames lie on the wire until it flows again. */
  isStalled = false;
  #socket: SimulatedSocket | null = null;
  #sender: EventSender | null = null;
  #dials = 0;
  #process = 1;

  constructor(identity: string, owner: string, name: string, slug: string, token: string) {
    this.identity = identity;
    this.owner = owner;
    this.name = name;
    this.slug = slug;
    this.token = token;
    this.spool = new MemorySpool(`stream-${identity}`);
  }

  get socket(): SimulatedSocket | null {
    return this.#socket;
  }

  /** Whether the script has welcomed it. */
  get isLinked(): boolean {
    return this.#sender !== null;
  }

  make(type: string, session: string | null, data: Record<string, unknown>): void {
    const n = this.made.length + 1;
    this.made.push({ n, type, session, data });
    const whole = { ...data, n, from: this.identity, owner: this.owner };
    this.spool.append({ atMs: kernel.nowMs + kernel.skewMs + this.skewMs, type, session, data: whole });
    if (this.#socket !== null) this.#sender?.send();
  }

  /** Takes the connector's end of a socket that the script has accepted, and says hello. */
  open(socket: SimulatedSocket): void {
    this.#socket = socket;
    this.#sender = null;
    this.#dials += 1;
    const dial: Dial = { connector: `${this.identity}-${this.#process}`, start: this.#process, number: this.#dials };
    this.#say({ type: "hello", protocol: PROTOCOL_VERSION, stream: this.spool.stream, dial, facts: this.facts });
    this.#toldFacts = this.facts;
  }

  /** Its facts change. Before the welcome they wait, since the hello has others. */
  learn(): void {
    this.facts = { ...this.facts, cpus: this.facts.cpus + 1 };
    if (this.isLinked) this.#tellFacts();
  }

  #tellFacts(): void {
    if (this.#toldFacts === this.facts) return;
    this.#toldFacts = this.facts;
    this.#say({ type: "facts", facts: this.facts });
  }

  /** The connector's process is started anew. What was on the wire is not its concern any more. */
  restart(): void {
    this.#process += 1;
    this.#dials = 0;
    this.drop();
  }

  drop(): void {
    this.#socket = null;
    this.#sender = null;
  }

  heard(text: string): void {
    const word: FromScript = JSON.parse(text);
    switch (word.type) {
      case "welcome":
        this.#sender = new EventSender(this.spool, (frame) => this.#say(frame));
        this.#tellFacts();
        return this.#sender.begin(word.acked);
      case "event-ack":
        this.#sender?.acknowledge(word.seq);
        return;
      case "token":
        this.token = word.token;
        return;
      case "challenge":
      case "goodbye":
        return;
    }
  }

  /** The script closed the socket, or it broke. */
  closed(code: number, reason: string, slugOf: (name: string) => string): void {
    this.drop();
    if (code === CloseCode.RENAMED) this.slug = slugOf(reason);
    if (isFatal(code) && code !== CloseCode.REPLACED) this.isGone = true;
  }

  #say(frame: object): void {
    if (this.#socket?.readyState === 1) this.#socket.send(JSON.stringify(frame));
  }
}
