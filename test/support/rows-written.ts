/** Methods of a Durable Object's storage that write a row each (Durable Objects, "Pricing"). */
const KV_WRITES = ["put", "delete"] as const;

/**
 * Counts the rows that objects of this isolate write to their SQLite storage, as they are billed: what SQL writes, indices included, one
 * for each key, and one for each time that an alarm is set.
 */
export class RowsWritten {
  readonly #cursors: { readonly rowsWritten: number }[] = [];
  readonly #restores: (() => void)[] = [];
  #others = 0;

  /** Begins. Call it inside an object, whose storage shows where the methods are. */
  constructor(storage: DurableObjectStorage) {
    this.#watch(storage.sql, "exec", (cursor) => this.#cursors.push(cursor as { rowsWritten: number })); // `exec` returns one
    for (const name of KV_WRITES) this.#watch(storage.kv, name, () => (this.#others += 1));
    this.#watch(storage, "setAlarm", () => (this.#others += 1));
  }

  /** Ends, and answers the number. Call it inside the same object. */
  end(): number {
    for (const restore of this.#restores) restore();
    return this.#others + this.#cursors.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0);
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
