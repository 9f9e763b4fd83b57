import { membersOf, spanAt, type Span } from "./json-span.ts";

/** What decides where a message goes. */
const ROUTING = new Set(["id", "method", "result", "error"]);

/** A JSON-RPC message as a line of bytes. Only the fields that are needed for routing are read. */
export class RpcMessage {
  /** The line, with one character per byte. */
  readonly text: string;
  /** Whether it has more than one id. Parsers differ in which of them they take. */
  readonly hasTwoIds: boolean;
  readonly #members: Map<string, Span>;

  /** The message in `line`, or `null` when it is not a message. */
  static read(line: Uint8Array): RpcMessage | null {
    const text = Buffer.from(line.buffer, line.byteOffset, line.byteLength).toString("latin1");
    const repeated = new Set<string>();
    const members = membersOf(text, 0, ROUTING, repeated);
    return members === null ? null : new RpcMessage(text, members, repeated.has("id"));
  }

  private constructor(text: string, members: Map<string, Span>, hasTwoIds: boolean) {
    this.text = text;
    this.hasTwoIds = hasTwoIds;
    this.#members = members;
  }

  /** The id as it is written; `null` without one. */
  get id(): string | null {
    return this.raw(this.#members.get("id"));
  }

  get method(): string | null {
    const raw = this.raw(this.#members.get("method"));
    return raw === null ? null : stringOf(raw);
  }

  get isRequest(): boolean {
    return this.#members.has("method") && this.#members.has("id");
  }

  get isResponse(): boolean {
    return !this.#members.has("method") && (this.#members.has("result") || this.#members.has("error"));
  }

  span(...path: readonly string[]): Span | null {
    return spanAt(this.text, ...path);
  }

  /** The value at `path` as it is written. */
  at(...path: readonly string[]): string | null {
    return this.raw(this.span(...path) ?? undefined);
  }

  raw(span: Span | undefined): string | null {
    return span === undefined ? null : this.text.slice(span.start, span.end);
  }
}

/** A key by which ids and tokens are compared as values: `"a"` and `"\u0061"` are equal, 1 and "1" are not. */
export function keyOf(raw: string): string {
  return raw.includes("\\") ? JSON.stringify(stringOf(raw)) : raw;
}

function stringOf(raw: string): string | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(raw, "latin1").toString());
    return typeof value === "string" ? value : null;
  } catch {
    return null; // not JSON, so not a string
  }
}

/**
 * The message as one line for a child. Line breaks in JSON are whitespace between tokens and never inside a string, so they
 * can be replaced.
 */
export function lineOf(body: Uint8Array): Buffer {
  const line = Buffer.allocUnsafe(body.length + 1);
  line.set(body);
  for (let at = 0; at < body.length; at += 1) if (line[at] === 0x0a || line[at] === 0x0d) line[at] = 0x20;
  line[body.length] = 0x0a;
  return line;
}
