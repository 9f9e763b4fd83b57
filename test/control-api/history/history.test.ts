import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import type { EventPush } from "#protocol/event.ts";
import type { EventQuery } from "../../../control-api/src/history/event-query.ts";
import { History } from "../../../control-api/src/history/history.ts";
import { shown } from "../../../control-api/src/http/shown-machine.ts";
import { env } from "../support/operator.ts";

const QUERY: EventQuery = {
  after: null, visible: ["one computer"], machine: null, before: null, session: null, project: null, types: null, notices: false, detail: "coarse", waitMs: 5_000,
}; // prettier-ignore

/** A machine's push of its event number `seq`. */
function pushOf(seq: number): EventPush {
  const event = { seq, atMs: seq, type: "message", session: null, data: { seq } };
  return { after: seq - 1, events: [event], position: { epoch: "e", seq }, gap: false, more: false };
}

function addMachine(sql: SqlStorage, name: string, identity: string): void {
  const values =
    "INSERT INTO machine (name, slug, identity, link_token_hash, created_ms, template) VALUES (?, ?, ?, '', 0, '')";
  sql.exec(values, name, name, identity);
}

/** Two machines, attic and mini, with one event each, in a database of their own. */
async function within(
  use: (history: History, after: { epoch: string; seq: number }, sql: SqlStorage) => Promise<void>,
): Promise<void> {
  await runInDurableObject(env.USER.getByName(`u-${crypto.randomUUID()}`), async (_, { storage }) => {
    const history = new History(
      storage.sql,
      () => true,
      () => undefined,
    );
    addMachine(storage.sql, "attic", "one computer");
    addMachine(storage.sql, "mini", "a third");
    history.push("attic", "attic", pushOf(1), 1);
    history.push("mini", "mini", pushOf(1), 1);
    await use(history, history.log.position, storage.sql);
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

test("a poll that goes on for a machine is refused once another computer has the name", async () => {
  await within(async (history, after, sql) => {
    const query = { ...QUERY, visible: null, machine: "attic", after, waitMs: 0 };
    const first = await history.poll(query);
    expect(first).toMatchObject({ computer: "one computer" });
    const before = shown({ name: "attic", identity: "one computer" });
    expect(await history.poll({ ...query, before })).toMatchObject({ events: [] });
    sql.exec("UPDATE machine SET identity = 'another' WHERE name = 'attic'");
    history.log.machines.pass("attic", { from: "one computer", to: "another" }, 1);
    const refused = { refused: "machine_replaced", machine: "attic" };
    expect(await history.poll({ ...query, before })).toEqual(refused);
    // Also with a cursor that has expired, after which the reader would begin with the other computer.
    expect(await history.poll({ ...query, before, after: { epoch: "ffffffff", seq: 1 } })).toEqual(refused);
    // A reader of another machine, or of all, does not mean that computer.
    expect(await history.poll({ ...query, before: { ...before, name: "cellar" } })).toMatchObject({ events: [] });
    expect(await history.poll(query)).toMatchObject({ computer: "another" });
  });
});

test.each([
  ["that is asked for by its name", { visible: null, machine: "new" }, "new computer"],
  ["of a reader who may see it alone", { visible: ["new computer"] }, null],
])(
  "a poll for a machine %s, and has not told anything yet, does not tell of another computer that gets its name",
  async (_what, asked, computer) => {
    await within(async (history, after, sql) => {
      addMachine(sql, "new", "new computer");
      const polled = history.poll({ ...QUERY, ...asked, after, waitMs: 300 });
      sql.exec("UPDATE machine SET identity = 'another' WHERE name = 'new'");
      history.push("new", "new", pushOf(1), 1);
      expect(await polled).toMatchObject({ events: [], computer });
    });
  },
);

test("a poll for a machine that has not told anything yet ends with its first event", async () => {
  await within(async (history, after, sql) => {
    addMachine(sql, "new", "new computer");
    const polled = history.poll({ ...QUERY, visible: ["new computer"], after });
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
