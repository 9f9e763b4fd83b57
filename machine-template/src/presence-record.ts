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
  /** The facts above have arrived at the control API. */
  factsReported: z.optional(z.boolean()),
  /** The control API refused a report with 403: it is not asked again before the next link. */
  reportsRefused: z.optional(z.boolean()),
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
    const value = storage.get(KEY);
    const stored = Row.safeParse(value);
    this.#row = stored.success ? stored.data : { ...NEVER, epoch: value === undefined ? 0 : epochAfter(value) };
  }

  get row(): Readonly<Row> {
    return this.#row;
  }

  /** A link begins. Answers its epoch, which is higher than any before. */
  begin(stream: string, facts: Facts): number {
    const now = Date.now();
    const factsReported = this.#row.factsReported === true && isSame(facts, this.#row.facts);
    const epoch = this.#row.epoch + 1;
    this.#write({ epoch, connectedAtMs: now, lastSeenMs: now, stream, facts, factsReported });
    return epoch;
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
    if (!isSame(facts, this.#row.facts)) this.#write({ ...this.#row, facts, factsReported: false });
  }

  /** Whether the control API has the facts. */
  markFacts(factsReported: boolean): void {
    if ((this.#row.factsReported ?? false) !== factsReported) this.#write({ ...this.#row, factsReported });
  }

  /** The control API does not take reports of this script. Forgotten when a link begins. */
  refuseReports(): void {
    this.#write({ ...this.#row, reportsRefused: true });
  }

  #write(row: Row): void {
    this.#row = row;
    this.#storage.put(KEY, row);
  }
}

function isSame(one: Facts, other: Facts | null): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/**
 * Where epochs go on after a record that cannot be read. The registry takes no word of an epoch below the last it knows,
 * so it must be higher than any before: the record's own, if that much of it is whole, else a number no count of links reaches.
 */
function epochAfter(value: unknown): number {
  const salvaged = z.object({ epoch: z.int() }).safeParse(value);
  return salvaged.success ? salvaged.data.epoch : Math.floor(Date.now() / 1000);
}
