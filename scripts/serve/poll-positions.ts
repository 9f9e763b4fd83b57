/** Clients come and go without a word; a position is a few dozen bytes. */
const MAX_POSITIONS = 10_000;

/**
 * How far each client that polls without a cursor has come. A client counts from its first call on, so what happens
 * between its create_session and its first poll is not lost; and for each session it asks about, and for "all", it has
 * a place of its own, so that asking about one takes nothing from the other. Two clients never take from each other.
 */
export class PollPositions {
  readonly #positions = new Map<string, string>();
  readonly #end: () => string;

  constructor(end: () => string) {
    this.#end = end;
  }

  /** To be called whenever a client is heard of. */
  meet(client: string): void {
    if (!this.#positions.has(client)) this.#set(client, this.#end());
  }

  get(client: string, session: string | null): string {
    this.meet(client);
    return this.#positions.get(keyOf(client, session)) ?? this.#positions.get(client) ?? this.#end();
  }

  advance(client: string, session: string | null, cursor: string): void {
    this.#set(keyOf(client, session), cursor);
  }

  #set(key: string, cursor: string): void {
    this.#positions.delete(key);
    this.#positions.set(key, cursor);
    const [oldest] = this.#positions.keys();
    if (this.#positions.size > MAX_POSITIONS && oldest !== undefined) this.#positions.delete(oldest);
  }
}

function keyOf(client: string, session: string | null): string {
  return JSON.stringify([client, session]);
}
