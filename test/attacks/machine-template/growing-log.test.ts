import { afterEach, expect, it } from "vitest";
import { EVENT_LOG_BYTES, MAX_EVENT_BYTES, MAX_EVENTS_PER_FRAME } from "#protocol/limits.ts";
import { EventLog } from "../../../machine-template/src/event-log.ts";
import { forget, within } from "../../machine-template/src/support/connector.ts";

/**
 * Root cause: a machine's events were limited in number, but not in size, and neither were the sessions that they name and the streams that they
 * come in. Those were kept by age, sessions by the age that the machine claims. Without end they fill the disk of everybody's Operator, and a
 * rename, which hands all streams over at once, needs memory for them.
 */

afterEach(forget);

/** More than are kept, and enough for the log to be trimmed while they arrive. */
const EVENTS = 12 * MAX_EVENTS_PER_FRAME;

/** What a script keeps after a machine has sent events, each of which names a session of its own, in the streams that `streamOf` says. */
function keptAfter(streamOf: (number: number) => { stream: string; first: number }): Promise<object> {
  return within((_, { storage: { sql } }) => {
    const log = new EventLog(sql);
    for (let number = 1; number <= EVENTS; number += 1) {
      const event = { atMs: Number.MAX_SAFE_INTEGER, type: "message", session: `session-${number}` };
      const { stream, first } = streamOf(number);
      log.store(stream, { type: "event", first, events: [event] });
    }
    const handedOver = log.numbers().streams.length;
    log.trim(Date.now());
    const rows = (table: string) => sql.exec<{ rows: number }>(`SELECT count(*) AS rows FROM ${table}`).one().rows;
    return { handedOver, streams: rows("stream"), sessions: rows("session") };
  });
}

it("keeps a few of the sessions that a machine names, whatever their times", async () => {
  const kept = await keptAfter((number) => ({ stream: "stream", first: number }));
  expect(kept).toEqual({ handedOver: 1, streams: 1, sessions: 100 });
});

it("keeps a few of the streams in which a machine sends, also while they arrive", async () => {
  const kept = await keptAfter((number) => ({ stream: `stream-${number}`, first: 1 }));
  expect(kept).toMatchObject({ streams: 100, sessions: 100 });
  expect(kept).toHaveProperty(
    "handedOver",
    expect.toSatisfy((count: number) => count < EVENTS),
  );
});

it("keeps the newest of a machine's events that together are too large, also while they arrive at a script that hibernates", async () => {
  const data = "x".repeat(MAX_EVENT_BYTES - 2);
  const fitting = EVENT_LOG_BYTES / MAX_EVENT_BYTES;
  const { before, after, most } = await within((_, { storage: { sql } }) => {
    const send = (first: number, count: number): void => {
      const events = Array.from({ length: count }, () => ({ atMs: 1, type: "message", session: null, data }));
      // A log that knows only what is stored, as after each hibernation.
      new EventLog(sql).store("stream", { type: "event", first, events });
    };
    const kept = () =>
      sql
        .exec<{ rows: number; first: number; last: number }>(
          "SELECT count(*) AS rows, min(seq) AS first, max(seq) AS last FROM event",
        )
        .one();
    const trimmed = (): { rows: number; first: number; last: number } => {
      sql.exec("UPDATE log SET unweighed = ?", EVENT_LOG_BYTES);
      new EventLog(sql).trim(Date.now());
      return kept();
    };
    send(1, fitting);
    const fits = trimmed();
    let largest = 0;
    for (let first = fitting + 1; first <= 2 * fitting; first += MAX_EVENTS_PER_FRAME) {
      send(first, MAX_EVENTS_PER_FRAME);
      largest = Math.max(largest, kept().rows);
    }
    return { before: fits, after: trimmed(), most: largest };
  });
  expect(before).toEqual({ rows: fitting, first: 1, last: fitting });
  expect(most).toBeLessThanOrEqual(1.25 * fitting + MAX_EVENTS_PER_FRAME);
  const last = fitting + MAX_EVENTS_PER_FRAME * Math.ceil(fitting / MAX_EVENTS_PER_FRAME);
  expect(after).toEqual({ rows: fitting, first: last - fitting + 1, last });
});
