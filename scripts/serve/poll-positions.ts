/** Number of positions that are kept. Clients disappear without notice; a position takes a few dozen bytes. */
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
