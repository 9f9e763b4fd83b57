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
  /** Whether the control API has received the facts above. */
  factsReported: z.optional(z.boolean()),
  /** Whether the control API refused a report with 403. No report is then sent until the next link. */
  reportsRefused: z.optional(z.boolean()),
});
type Row = z.infer<typeof Row>;

const KEY = "presence";

const NEVER: Row = { epoch: 0, connectedAtMs: null, lastSeenMs: null, stream: null, facts: null };

/**
 * The state of the machine's links that is kept over hibernation and restarts. Written when a link opens or closes, never
 * during a call.
 */
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

  /** Records a new link. Returns its epoch, which is higher than any before. */
  begin(stream: string, facts: Facts): number {
    const now = Date.now();
    const factsReported = this.#row.factsReported === true && isSame(facts, this.#row.facts);
    const epoch = this.#row.epoch + 1;
    this.#write({ epoch, connectedAtMs: now, lastSeenMs: now, stream, facts, factsReported });
    return epoch;
  }

  /** Records the end of the link of `epoch`. Returns `false`, and changes nothing, when a newer link exists or its end is recorded already. */
  end(epoch: number, lastSeenMs: number): boolean {
    if (epoch !== this.#row.epoch || this.#row.connectedAtMs === null) return false;
    this.#write({ ...this.#row, connectedAtMs: null, lastSeenMs });
    return true;
  }

  /** Records that a connector with this old version of the protocol was refused. Cleared when a link opens. */
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

  /** Records that the control API has received these facts. They may have changed while the report was under way. */
  markReported(facts: Facts): void {
    if (isSame(facts, this.#row.facts)) this.markFacts(true);
  }

  /** Records that the control API refuses this script's reports. Cleared when a link opens. */
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
 * The epoch to continue from when the stored record cannot be read. The registry ignores reports with an epoch below the last
 * one it knows, so the new one must be higher than any before: the record's own epoch if that part of it is readable, else
 * a number that no count of links reaches.
 */
function epochAfter(value: unknown): number {
  const salvaged = z.object({ epoch: z.int() }).safeParse(value);
  return salvaged.success ? salvaged.data.epoch : Math.floor(Date.now() / 1000);
}
