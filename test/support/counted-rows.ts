/** Methods of a Durable Object's storage that write a row each (Durable Objects, "Pricing"). */
const KV_WRITES = ["put", "delete"] as const;

/** What was billed of a storage. */
export type Rows = { readonly written: number; readonly read: number };

/**
 * Counts the rows that objects of this isolate write to their SQLite storage and read from it, as they are billed: what SQL writes and
 * scans, indices included, one for each key, and one for each time that an alarm is set.
 */
export class CountedRows {
  readonly #cursors: { readonly rowsWritten: number; readonly rowsRead: number }[] = [];
  readonly #restores: (() => void)[] = [];
  #written = 0;
  #read = 0;

  /** Begins. Call it inside an object, whose storage shows where the methods are. */
  constructor(storage: DurableObjectStorage) {
    this.#watch(storage.sql, "exec", (cursor) =>
      this.#cursors.push(cursor as { rowsWritten: number; rowsRead: number }),
    ); // `exec` returns one
    for (const name of KV_WRITES) this.#watch(storage.kv, name, () => (this.#written += 1));
    this.#watch(storage.kv, "get", () => (this.#read += 1));
    this.#watch(storage, "setAlarm", () => (this.#written += 1));
  }

  /** Ends, and answers the numbers. Call it inside the same object. */
  end(): Rows {
    for (const restore of this.#restores) restore();
    return {
      written: this.#written + this.#cursors.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0),
      read: this.#read + this.#cursors.reduce((sum, { rowsRead }) => sum + rowsRead, 0),
    };
  }

  #watch(target: object, name: string, seen: (result: unknown) => void): void {
    const prototype: Record<string, (...given: unknown[]) => unknown> = Object.getPrototypeOf(target);
    const original = prototype[name];
    if (original === undefined) throw new Error(`${name} is not there to be counted`);
    prototype[name] = function counted(this: unknown, ...given: unknown[]): unknown {
      const result = original.apply(this, given);
      seen(result);
      return result;
    };
    this.#restores.push(() => (prototype[name] = original));
  }
}
