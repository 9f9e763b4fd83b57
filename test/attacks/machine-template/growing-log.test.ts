import { afterEach, expect, it } from "vitest";
import { MAX_EVENTS_PER_FRAME } from "#protocol/limits.ts";
import { EventLog } from "../../../machine-template/src/event-log.ts";
import { forget, within } from "../../machine-template/src/support/connector.ts";

/**
 * Root cause: a machine's events were limited in number, but not the sessions that they name and the streams that they come in. Both were
 * kept by age, sessions by the age that the machine claims. Without end they fill the disk of everybody's Operator, and a rename,
 * which hands all streams over at once, needs memory for them.
 */

afterEach(forget);

/** More than are kept, and enough to be trimmed while they arrive. */
const FRAMES = 12;

function framesOf(stream: (number: number) => string): Promise<object> {
  return within((_, { storage: { sql } }) => {
    const log = new EventLog(sql);
    for (let frame = 0; frame < FRAMES; frame += 1) {
      const first = 1 + frame * MAX_EVENTS_PER_FRAME;
      const events = Array.from({ length: MAX_EVENTS_PER_FRAME }, (_, index) => ({
        atMs: Number.MAX_SAFE_INTEGER,
        type: "message",
        session: `session-${first + index}`,
      }));
      if (stream(0) === stream(1)) log.store(stream(0), { type: "event", first, events });
      else
        for (const [index, event] of events.entries())
          log.store(stream(first + index), { type: "event", first: 1, events: [event] });
    }
    const numbers = log.numbers();
    log.trim(Date.now());
    const rows = (table: string) => sql.exec<{ rows: number }>(`SELECT count(*) AS rows FROM ${table}`).one().rows;
    return { handedOver: numbers.streams.length, streams: rows("stream"), sessions: rows("session") };
  });
}

it("keeps a few of the sessions that a machine names, whatever their times", async () => {
  expect(await framesOf(() => "stream")).toEqual({ handedOver: 1, streams: 1, sessions: 100 });
});

it("keeps a few of the streams in which a machine sends, also while they arrive", async () => {
  const kept = await framesOf((number) => `stream-${number}`);
  expect(kept).toMatchObject({ streams: 100, sessions: 100 });
  expect(kept).toHaveProperty(
    "handedOver",
    expect.toSatisfy((count: number) => count <= 600),
  );
});
