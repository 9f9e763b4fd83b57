import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import type { EventPush } from "#protocol/event.ts";
import type { EventQuery } from "../../../control-api/src/history/event-query.ts";
import { History } from "../../../control-api/src/history/history.ts";
import { env } from "../support/operator.ts";

const QUERY: EventQuery = {
  after: null, visible: ["attic"], machine: null, session: null, project: null, types: null, notices: false, detail: "coarse", waitMs: 5_000,
}; // prettier-ignore

/** A machine's push of its event number `seq`. */
function pushOf(seq: number): EventPush {
  const event = { seq, atMs: seq, type: "message", session: null, data: { seq } };
  return { after: seq - 1, events: [event], position: { epoch: "e", seq }, gap: false, more: false };
}

/** Two machines, attic and mini, with one event each, in a database of their own. */
async function within(use: (history: History, after: { epoch: string; seq: number }) => Promise<void>): Promise<void> {
  await runInDurableObject(env.USER.getByName(`u-${crypto.randomUUID()}`), async (_, { storage }) => {
    const history = new History(
      storage.sql,
      () => true,
      () => undefined,
    );
    history.push("attic", "attic", pushOf(1), 1);
    history.push("mini", "mini", pushOf(1), 1);
    await use(history, history.log.position);
  });
}

test("a poll for a machine goes on with that machine when it is renamed meanwhile", async () => {
  await within(async (history, after) => {
    const polled = history.poll({ ...QUERY, after });
    history.log.machines.rename("attic", { name: "loft", slug: "loft" });
    history.push("loft", "loft", pushOf(2), 2);
    expect(await polled).toMatchObject({ events: [{ machine: "loft", machineSeq: 2 }] });
  });
});

test("a poll for a machine does not tell of another computer that takes its name over meanwhile", async () => {
  await within(async (history, after) => {
    const polled = history.poll({ ...QUERY, after, waitMs: 300 });
    history.log.machines.pass("attic", { from: "one computer", to: "another" }, 1);
    history.push("attic", "attic", pushOf(2), 2);
    expect(await polled).toMatchObject({ events: [] });
  });
});

test("a poll for a machine that has not told anything yet ends with its first event", async () => {
  await within(async (history, after) => {
    const polled = history.poll({ ...QUERY, visible: ["new"], after });
    history.push("new", "new", pushOf(1), 1);
    expect(await polled).toMatchObject({ events: [{ machine: "new", machineSeq: 1 }] });
  });
});

test("a gap is told where a log was trimmed before its first push", async () => {
  await within(async (history, after) => {
    history.push("new", "new", { ...pushOf(3), after: 0, gap: true }, 3);
    expect(await history.poll({ ...QUERY, visible: null, after, waitMs: 0 })).toMatchObject({ gaps: ["new"] });
  });
});
