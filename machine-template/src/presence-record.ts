import { Facts } from "#protocol/control.ts";
import * as z from "zod/mini";

const Row = z.object({
  epoch: z.int(),
  connectedAtMs: z.nullable(z.int()),
  lastSeenMs: z.nullable(z.int()),
  stream: z.nullable(z.string()),
  facts: z.nullable(Facts),
  /** Protocol version of a connector that was refused as too old, since the last link. */
  tooOld: z.optional(z.int()),
});
type Row = z.infer<typeof Row>;

const KEY = "presence";

const NEVER: Row = { epoch: 0, connectedAtMs: null, lastSeenMs: null, stream: null, facts: null };

/** What is remembered of the machine's links over hibernation and restarts. Written when a link comes or goes, never during a call. */
export class PresenceRecord {
  readonly #storage: SyncKvStorage;
  #row: Row;

  constructor(storage: SyncKvStorage) {
    this.#storage = storage;
    const stored = Row.safeParse(storage.get(KEY));
    this.#row = stored.success ? stored.data : NEVER;
  }

  get row(): Readonly<Row> {
    return this.#row;
  }

  /** A link begins. Answers its epoch, which is higher than any before. */
  begin(stream: string, facts: Facts): number {
    const now = Date.now();
    this.#write({ epoch: this.#row.epoch + 1, connectedAtMs: now, lastSeenMs: now, stream, facts });
    return this.#row.epoch;
  }

  /** The link of `epoch` ended. `false` when a newer one has begun since: then nothing changes. */
  end(epoch: number, lastSeenMs: number): boolean {
    if (epoch !== this.#row.epoch) return false;
    this.#write({ ...this.#row, connectedAtMs: null, lastSeenMs });
    return true;
  }

  /** A connector that speaks this old version of the protocol was refused. Forgotten when a link begins. */
  refuse(protocol: number): void {
    if (this.#row.tooOld !== protocol) this.#write({ ...this.#row, tooOld: protocol });
  }

  learn(facts: Facts): void {
    this.#write({ ...this.#row, facts });
  }

  #write(row: Row): void {
    this.#row = row;
    this.#storage.put(KEY, row);
  }
}
