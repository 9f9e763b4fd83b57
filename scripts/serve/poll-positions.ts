import { createHash } from "node:crypto";
import { noteWithin } from "#protocol/keep-within.ts";

/** Number of positions that are kept. Clients disappear without notice; a position takes a hundred bytes. */
const MAX_POSITIONS = 10_000;

/**
 * The positions of clients that poll without a cursor. A client's position starts at its first call of any tool, so events between
 * its create_session and its first poll are not lost. It has a separate position for each session that it polls, and one for
 * all sessions, so polling one does not skip events of another. Clients never affect each other's positions.
 */
export class PollPositions {
  readonly #positions = new Map<string, string>();
  readonly #end: () => string;

  constructor(end: () => string) {
    this.#end = end;
  }

  /** Call this at every request of a client. */
  meet(client: string): void {
    const key = keyOf(client);
    if (!this.#positions.has(key)) this.#set(key, this.#end());
  }

  get(client: string, session: string | null): string {
    this.meet(client);
    return this.#positions.get(keyOf(client, session)) ?? this.#positions.get(keyOf(client)) ?? this.#end();
  }

  advance(client: string, session: string | null, cursor: string): void {
    this.#set(keyOf(client, session), cursor);
  }

  #set(key: string, cursor: string): void {
    noteWithin(this.#positions, MAX_POSITIONS, key, cursor);
  }
}

/** Clients choose these names, and they may have megabytes. So only a digest of them is kept. */
function keyOf(...names: readonly (string | null)[]): string {
  return createHash("sha256").update(JSON.stringify(names)).digest("base64");
}
