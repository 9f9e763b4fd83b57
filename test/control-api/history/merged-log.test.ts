import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { DELTA_SUFFIX, type EventPush, type LoggedEvent } from "#protocol/event.ts";
import { SCRIPT_EVENT_RATE } from "#protocol/limits.ts";
import type { EventQuery, EventsRead } from "../../../control-api/src/history/event-query.ts";
import { FIRST_HISTORY, MACHINE_BYTES, MACHINE_ROWS, TRIM_ROWS } from "../../../control-api/src/history/limits.ts";
import { MergedLog } from "../../../control-api/src/history/merged-log.ts";
import { SessionIndex } from "../../../control-api/src/history/session-index.ts";
import { Inbox } from "../../../control-api/src/inbox/inbox.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { env, TestUser } from "../support/operator.ts";

/** A log in the storage of an object of its own. */
function withLog(
  check: (log: MergedLog, again: (restored?: string) => MergedLog, sql: SqlStorage) => void,
  maxBytes?: number,
): Promise<void> {
  const object = env.USER.getByName(`log-${crypto.randomUUID()}`) as unknown as DurableObjectStub<User>;
  return runInDurableObject(object, (_, { storage }) => {
    const open = (restored?: string): MergedLog => {
      void new SessionIndex(storage.sql);
      void new Inbox(storage.sql);
      return new MergedLog(storage.sql, maxBytes, restored);
    };
    check(open(), open, storage.sql);
  });
}

function event(seq: number, more: Partial<LoggedEvent> = {}): LoggedEvent {
  return { seq, atMs: seq, type: "message", session: null, data: seq, ...more };
}

/** Puts a machine into the registry: its name, slug and identity. */
const ADD_MACHINE =
  "INSERT INTO machine (name, slug, identity, link_token_hash, created_ms, template) VALUES (?, ?, ?, '', 0, '')";

const ATTIC = { name: "attic", identity: "identity-of-attic" };

/** The push of a script whose log has these events after `after`. */
function push(
  after: number,
  events: readonly LoggedEvent[],
  more: Partial<EventPush> & { epoch?: string } = {},
): EventPush {
  const { epoch = "e", ...rest } = more;
  const seq = events.at(-1)?.seq ?? after;
  return { after, events: [...events], position: { epoch, seq }, gap: false, more: false, ...rest };
}

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

const ALL: EventQuery = {
  after: null,
  visible: null,
  machine: null,
  before: null,
  session: null,
  project: null,
  types: null,
  notices: false,
  detail: "coarse",
  waitMs: 0,
};

function read(log: MergedLog, query: Partial<EventQuery> = {}): EventsRead {
  const asked = { ...ALL, ...query };
  const reach = log.reachOf(asked, () => true);
  if (reach === undefined) throw new Error("there is no such machine");
  const found = log.read(asked, reach);
  if ("refused" in found) throw new Error(found.refused);
  return found;
}

/** Everything from the beginning, page by page: which event of which machine. */
function everything(log: MergedLog): string[] {
  const found: string[] = [];
  for (let next: EventsRead | null = null; next === null || next.more;) {
    next = read(log, { after: { epoch: log.position.epoch, seq: next?.position.seq ?? 0 } });
    found.push(...next.events.map(({ machine, machineSeq }) => `${machine} ${machineSeq}`));
  }
  return found;
}

const NOW = 1_800_000_000_000;

describe("a push", () => {
  it("is stored once, however often it arrives and wherever it is cut", () =>
    withLog((log) => {
      expect(log.push("a", "attic", push(0, [event(1), event(2)]), 2, NOW).stored).toBe(2);
      expect(log.push("a", "attic", push(0, [event(1), event(2)]), 2, NOW)).toMatchObject({ stored: 2, added: [] });
      expect(log.push("a", "attic", push(1, [event(2), event(3)]), 3, NOW).stored).toBe(3);
      expect(everything(log)).toEqual(["attic 1", "attic 2", "attic 3"]);
    }));

  it("is ignored if a later one arrived first", () =>
    withLog((log) => {
      log.push("a", "attic", push(0, [event(1), event(2), event(3)]), 3, NOW);
      expect(log.push("a", "attic", push(0, [event(1)]), 3, NOW)).toMatchObject({ stored: 3, added: [] });
      expect(everything(log)).toEqual(["attic 1", "attic 2", "attic 3"]);
    }));

  it("is refused if it does not follow the stored events, and the answer says where to continue", () =>
    withLog((log) => {
      log.push("a", "attic", push(0, [event(1)]), 1, NOW);
      expect(log.push("a", "attic", push(5, [event(6)]), 6, NOW)).toMatchObject({ stored: 1, added: [] });
      expect(everything(log)).toEqual(["attic 1"]);
    }));

  it("is refused if its numbers do not rise, so that no machine can reorder its events", () =>
    withLog((log) => {
      for (const seqs of [[2, 1], [1, 1], [0]])
        expect(
          log.push(
            "a",
            "attic",
            push(
              0,
              seqs.map((seq) => event(seq)),
              { position: { epoch: "e", seq: 9 } },
            ),
            9,
            NOW,
          ),
        ).toMatchObject({ stored: 0, added: [] });
    }));

  it("of more events than a script may send is taken up to there, and reports that others are missing", () =>
    withLog((log) => {
      const { burst } = SCRIPT_EVENT_RATE;
      const events = numbers(1, burst + 10).map((seq) => event(seq, { type: `message${DELTA_SUFFIX}` }));
      const { added, stored } = log.push("a", "attic", push(0, events), events.length, NOW);
      expect([added.length, stored]).toEqual([burst, burst + 10]);
      expect(read(log, { after: { epoch: log.position.epoch, seq: burst } }).gaps).toEqual(["attic"]);
    }));

  it("cannot speak for Operator: of its account's notices, or of what became of calls that waited", () =>
    withLog((log) => {
      const types = ["notice.token_created", "delivery.delivered", "delivery.x", "deliveryx"];
      const events = types.map((type, index) => event(index + 1, { type }));
      log.push("attic-1", "attic", push(0, events), 4, 0);
      expect(read(log).events.map(({ type }) => type)).toEqual([
        "machine.notice.token_created",
        "machine.delivery.delivered",
        "machine.delivery.x",
        "deliveryx",
      ]);
    }));

  it("counts only for its own machine, whatever numbers others have", () =>
    withLog((log) => {
      log.push("a", "attic", push(0, [event(1)]), 1, NOW);
      log.push("b", "barn", push(0, [event(1)]), 1, NOW);
      expect(everything(log)).toEqual(["attic 1", "barn 1"]);
    }));

  it("of an unknown log starts where the script does, and earlier if this log was lost", () =>
    withLog((log) => {
      expect(log.push("a", "attic", push(0, [event(1)]), 5_000, NOW).stored).toBe(1);
      expect(log.push("b", "barn", push(5_000, [event(5_001)]), 5_001, NOW).stored).toBe(5_001 - FIRST_HISTORY);
      log.push("b", "barn", push(4_001, [event(4_002), event(5_001)]), 5_001, NOW);
      expect(everything(log)).toEqual(["attic 1", "barn 4002", "barn 5001"]);
    }));

  it("of a log that started again causes a gap for earlier readers, and later pushes of the former log are ignored", () =>
    withLog((log) => {
      log.push("a", "attic", push(0, [event(1), event(2)]), 2, NOW);
      const after = log.position;
      log.push("a", "attic", push(0, [event(1)], { epoch: "f" }), 1, NOW);
      expect(read(log, { after })).toMatchObject({ gaps: ["attic"], events: [{ machineSeq: 1 }] });
      expect(read(log, { after: log.position }).gaps).toEqual([]);
      expect(log.push("a", "attic", push(2, [event(3)]), 3, NOW)).toMatchObject({ stored: 3, added: [] });
      expect(log.push("a", "attic", push(1, [event(2)], { epoch: "f" }), 2, NOW).stored).toBe(2);
      expect(everything(log)).toEqual(["attic 1", "attic 2", "attic 1", "attic 2"]);
    }));

  it("of a log that was trimmed before the push causes one gap", () =>
    withLog((log) => {
      log.push("a", "attic", push(0, [event(1)]), 1, NOW);
      const after = log.position;
      for (let times = 0; times < 2; times += 1) log.push("a", "attic", push(1, [event(9)], { gap: true }), 9, NOW);
      const next = read(log, { after });
      expect(next).toMatchObject({ gaps: ["attic"], events: [{ machineSeq: 9 }] });
      expect(read(log, { after: next.position }).gaps).toEqual([]);
    }));

  it("with an oversized event stores only a note of its size", () =>
    withLog((log) => {
      log.push("a", "attic", push(0, [event(1, { data: "x".repeat(70_000) })]), 1, NOW);
      expect(read(log).events[0]?.data).toBe('{"truncated":true,"bytes":70002}');
    }));

  it("above a machine's rate is not stored, and causes a gap for that machine only", () =>
    withLog((log) => {
      log.push("b", "barn", push(0, [event(1)]), 1, NOW);
      const after = log.position;
      for (let from = 1; from <= 26_000; from += 500)
        log.push(
          "a",
          "attic",
          push(
            from - 1,
            numbers(from, from + 499).map((seq) => event(seq, { data: 0 })),
          ),
          from + 499,
          NOW,
        );
      expect(read(log, { after }).gaps).toEqual(["attic"]);
      expect(log.push("a", "attic", push(26_000, [event(26_001)]), 26_001, NOW + 1_000).added).toHaveLength(1);
      expect(read(log, { machine: "barn" }).events).toHaveLength(1);
    }));
});

const ALL_MACHINES = { ids: null, unheard: [], unknown: null, computer: null };
/** The first one's bits alone would take the epoch's highest bit beyond what JavaScript shifts without a sign. */
const [ONE_RESTORE, OTHER_RESTORE] = ["ffffffff-0000-4000-8000-000000000000", "00000001-0000-4000-8000-000000000000"];

describe("the log", () => {
  it("continues after a restart with the same epoch, and never reuses a number", () =>
    withLog((log, again) => {
      log.push("a", "attic", push(0, [event(1), event(2, { type: "message.delta" })]), 2, NOW);
      const before = log.position;
      const after = again();
      expect(after.position.epoch).toBe(before.epoch);
      expect(after.position.seq).toBeGreaterThanOrEqual(before.seq);
      after.push("a", "attic", push(2, [event(3)]), 3, NOW);
      expect(read(after, { after: before }).events).toMatchObject([{ machineSeq: 3 }]);
      expect(read(after, { after: before }).events[0]?.seq).toBeGreaterThan(before.seq);
    }));

  it("has another epoch after each restore of a backup, since numbers are then given again, and keeps it until the next one", () =>
    withLog((log, again) => {
      log.push("a", "attic", push(0, [event(1)]), 1, NOW);
      const before = log.position;
      const epochs = [again(), again(ONE_RESTORE), again(OTHER_RESTORE)].map(({ position }) => position.epoch);
      expect(new Set(epochs).size).toBe(3);
      expect(epochs).toEqual(epochs.map(() => expect.stringMatching(/^[0-9a-f]{8}$/)));
      expect(again(ONE_RESTORE).position.epoch).toBe(epochs[1]);
      const restored = again(ONE_RESTORE);
      expect(restored.read({ ...ALL, after: before }, ALL_MACHINES)).toEqual({ refused: "cursor_expired" });
      // The machines' own logs go on.
      const after = restored.position;
      restored.push("a", "attic", push(1, [event(2)]), 2, NOW);
      expect(read(restored, { after }).events).toMatchObject([{ machineSeq: 2 }]);
    }));

  it("refuses a position that it never issued", () =>
    withLog((log) => {
      const { epoch, seq } = log.position;
      for (const after of [
        { epoch: "another", seq },
        { epoch, seq: seq + 1 },
      ])
        expect(log.read({ ...ALL, after }, ALL_MACHINES)).toEqual({ refused: "cursor_expired" });
    }));

  it("keeps a limited number of a machine's newest events, and reports that it dropped others", () =>
    withLog((log) => {
      log.push("b", "barn", push(0, [event(1)]), 1, NOW);
      const after = log.position;
      const last = MACHINE_ROWS + TRIM_ROWS + 500;
      for (let from = 1; from <= last; from += 500)
        log.push(
          "a",
          "attic",
          push(
            from - 1,
            numbers(from, from + 499).map((seq) => event(seq, { data: 0 })),
          ),
          from + 499,
          NOW,
        );
      const kept = everything(log);
      expect(kept.length).toBeLessThanOrEqual(MACHINE_ROWS + TRIM_ROWS + 1);
      expect([kept[0], kept.at(-1)]).toEqual(["barn 1", `attic ${last}`]);
      expect(read(log, { after }).gaps).toEqual(["attic"]);
      expect(read(log, { after, machine: "barn" }).gaps).toEqual([]);
    }));

  it("keeps a limited size of a machine's newest events", () =>
    withLog((log) => {
      const data = "x".repeat(60_000);
      const count = Math.ceil((1.1 * MACHINE_BYTES) / data.length);
      for (const seq of numbers(1, count)) log.push("a", "attic", push(seq - 1, [event(seq, { data })]), seq, NOW);
      const kept = everything(log);
      expect(kept.length * data.length).toBeLessThanOrEqual(MACHINE_BYTES + data.length);
      expect(kept.at(-1)).toBe(`attic ${count}`);
    }));

  it("keeps a limited size of what happened to a machine's calls, also if the machine itself is away and tells nothing", () =>
    withLog((log, _, sql) => {
      sql.exec(ADD_MACHINE, "attic", "a", ATTIC.identity);
      log.push("a", "attic", push(0, [event(1)]), 1, NOW);
      const data = "x".repeat(60_000);
      const count = Math.ceil((1.1 * MACHINE_BYTES) / data.length);
      for (let told = 0; told < count; told += 1) log.addOwn(ATTIC, "delivery.cancelled", null, data, NOW);
      const { rows = 0, bytes = 0 } = log.machines.named("attic") ?? {};
      expect(bytes).toBeLessThanOrEqual(MACHINE_BYTES);
      expect(bytes).toBeGreaterThan(MACHINE_BYTES / 2);
      expect(rows).toBeLessThan(count);
    }));

  it("keeps a limited size of the events of all machines together, at the cost of the machine that has most", () =>
    withLog(
      (log, again) => {
        const data = "\u{1F600}".repeat(4_096); // 16 KiB in UTF-8, half as many characters
        const fill = (machine: string, count: number, each = data): void => {
          for (const seq of numbers(1, count))
            log.push(machine, machine, push(seq - 1, [event(seq, { data: each })]), seq, NOW);
        };
        const bytesOf = (machine: string): number => log.machines.named(machine)?.bytes ?? 0;
        fill("attic", 50);
        fill("den", 700, "small"); // the most events, and the least data
        const after = log.position;
        fill("barn", 300);
        fill("cellar", 250);
        expect(bytesOf("attic")).toBe(50 * (16_384 + 2));
        expect(bytesOf("den")).toBe(700 * 7);
        expect(bytesOf("barn") + bytesOf("cellar")).toBeLessThanOrEqual(8 * 1024 * 1024 - bytesOf("attic"));
        expect(bytesOf("barn") + bytesOf("cellar")).toBeGreaterThan(5 * 1024 * 1024);
        expect(Math.min(bytesOf("barn"), bytesOf("cellar"))).toBeGreaterThan(2 * 1024 * 1024);
        expect(everything(log).at(-1)).toBe("cellar 250");
        expect(read(log, { after }).gaps).not.toContain("attic");
        expect(again().machines.total()).toEqual(log.machines.total());
      },
      8 * 1024 * 1024,
    ));

  it("counts the same bytes when events come and when they go, whatever characters they have", () =>
    withLog((log, _, sql) => {
      sql.exec(ADD_MACHINE, "attic", "a", ATTIC.identity);
      for (const seq of [1, 2]) log.push("a", "attic", push(seq - 1, [event(seq, { data: "\u{1F600}ä" })]), seq, NOW);
      log.addOwn(ATTIC, "delivery.cancelled", null, "\u{1F600}", NOW);
      log.forget(log.machines.named("attic")?.id ?? 0, null);
      expect(log.machines.named("attic")).toMatchObject({ rows: 0, bytes: 0 });
    }));

  it("of version 0.4 is weighed once, and goes on", () =>
    withLog((log, again, sql) => {
      log.push("a", "attic", push(0, [event(1, { data: "ä" })]), 1, NOW);
      log.push("b", "barn", push(0, [event(1, { data: "b" }), event(2, { data: "c" })]), 2, NOW);
      sql.exec("ALTER TABLE log_machine DROP COLUMN bytes");
      expect(again().machines.named("attic")).toMatchObject({ rows: 1, bytes: 4 });
      expect(again().machines.named("barn")).toMatchObject({ rows: 2, bytes: 6 });
    }));

  it("drops events above the age limit, and reports it", () =>
    withLog((log) => {
      log.push("a", "attic", push(0, [event(1)]), 1, NOW);
      const after = { epoch: log.position.epoch, seq: 0 };
      log.push("b", "barn", push(0, [event(1)]), 1, NOW + 40 * 24 * 60 * 60_000);
      expect(everything(log)).toEqual(["barn 1"]);
      expect(read(log, { after }).gaps).toEqual(["attic"]);
    }));

  it("keeps events as long, and as many of them, as its person chose, also after a restart", () =>
    withLog((log, again) => {
      const day = 24 * 60 * 60_000;
      log.push("a", "attic", push(0, numbers(1, 400).map((seq) => event(seq))), 400, NOW); // prettier-ignore
      log.push("b", "barn", push(0, numbers(1, 900).map((seq) => event(seq))), 900, NOW + 2 * day); // prettier-ignore
      const after = { epoch: log.position.epoch, seq: 0 };
      log.retain({ days: 365, events: 1_000 }, NOW + 2 * day);
      // The machine with the most events gave up its oldest.
      const kept = everything(log);
      expect([kept.length, kept[0], kept.at(-1)]).toEqual([1_000, "attic 1", "barn 900"]);
      expect(read(log, { after }).gaps).toEqual(["barn"]);
      const later = again();
      expect(later.retention).toEqual({ days: 365, events: 1_000 });
      later.retain({ days: 1, events: 1_000 }, NOW + 2 * day);
      expect(everything(later).every((one) => one.startsWith("barn"))).toBe(true);
      expect(read(later, { after }).gaps).toEqual(["attic", "barn"]);
      // No machine pushes any more, and the rest goes when it is old enough.
      expect(later.trimAge(NOW + 2 * day)).toBe(NOW + 3 * day);
      expect(later.trimAge(NOW + 3 * day + 1)).toBeNull();
      expect(everything(later)).toEqual([]);
    }));

  it("tells of each event which computer it came from, also if that one was removed or lost its name", () =>
    withLog((log, _, sql) => {
      const identities = () => read(log, { types: ["message"] }).events.map(({ identity }) => identity);
      sql.exec(ADD_MACHINE, "attic", "a", "first");
      log.push("a", "attic", push(0, [event(1)]), 1, NOW);
      expect(identities()).toEqual(["first"]);
      sql.exec("UPDATE machine SET identity = 'second'");
      log.machines.pass("attic", { from: "first", to: "second" }, NOW);
      log.push("a", "attic", push(1, [event(2)]), 2, NOW);
      log.machines.remove("attic", "second", NOW);
      sql.exec("DELETE FROM machine");
      sql.exec(ADD_MACHINE, "attic", "a", "");
      log.push("a", "attic", push(0, [event(1)], { epoch: "f" }), 1, NOW);
      expect(identities()).toEqual(["first", "second", null]);
    }));

  it("tells a reader who waits for a machine of which nobody knows which computer it is what it says first", () =>
    withLog((log, _, sql) => {
      sql.exec(ADD_MACHINE, "attic", "a", "");
      const asked = { ...ALL, after: { epoch: log.position.epoch, seq: 0 }, machine: "attic" };
      const reach = log.reachOf(asked, () => true);
      log.push("a", "attic", push(0, [event(1)]), 1, NOW);
      expect(reach === undefined ? null : log.read(asked, reach)).toMatchObject({ events: [{ type: "message" }] });
    }));

  it("tells what became of a call also of a machine in a rebuilt list, of which nobody knows which computer it is", () =>
    withLog((log, _, sql) => {
      sql.exec(ADD_MACHINE, "attic", "a", "");
      log.push("a", "attic", push(0, [event(1)]), 1, NOW);
      const call = { name: "attic", identity: "" };
      expect(log.addOwn(call, "delivery.delivered", null, {}, NOW)).not.toBeNull();
      sql.exec("UPDATE machine SET identity = 'found'");
      expect(log.addOwn(call, "delivery.delivered", null, {}, NOW)).toBeNull();
    }));

  it("forgets a removed machine when nothing of it is left, and no other", () =>
    withLog((log, _, sql) => {
      const day = 24 * 60 * 60_000;
      const sessions = new SessionIndex(sql);
      const inbox = new Inbox(sql);
      const asked = { request_id: "r", tool: "Bash", input: {} };
      for (const [slug, name, type, data] of [
        ["a", "alive", "message", {}],
        ["g", "gone", "message", {}],
        ["s", "with-session", "session.idle", {}],
        ["r", "with-request", "permission.requested", asked],
        ["e", "with-event", "message", {}],
      ] as const) {
        const session = slug === "s" ? "one" : null;
        const { machine, added } = log.push(slug, name, push(0, [event(1, { type, session, data })]), 1, NOW);
        sessions.note(machine, added, NOW);
        inbox.note(machine, added, NOW);
        if (slug !== "a") log.machines.remove(name, slug, slug === "e" ? NOW - 2 * day : NOW);
      }
      log.machines.of("l", "left-lately");
      log.machines.remove("left-lately", "l", NOW + 30 * day);
      const known = (): string[] =>
        sql
          .exec<{ name: string }>("SELECT name FROM log_machine ORDER BY id")
          .toArray()
          .map(({ name }) => name);
      log.trimAge(NOW + 29 * day);
      expect(known()).toEqual(["alive", "gone", "with-session", "with-request", "with-event", "left-lately"]);
      log.trimAge(NOW + 31 * day);
      expect(known()).toEqual(["alive", "with-session", "with-request", "left-lately"]);
      // Its number is nobody's afterwards.
      const last = log.machines.of("n", "new").id;
      expect(last).toBe(7);
      log.machines.remove("new", "n", NOW);
      log.trimAge(NOW + 31 * day);
      expect(log.machines.of("m", "newer").id).toBe(8);
    }));

  it("tells of a call to a computer that has another name by now, also if its name is another's", () =>
    withLog((log, _, sql) => {
      sql.exec(ADD_MACHINE, "attic", "attic-slug", ATTIC.identity);
      log.push("attic-slug", "attic", push(0, [event(1)]), 1, NOW);
      sql.exec("UPDATE machine SET name = 'loft', slug = 'loft-slug'");
      log.machines.rename("attic", { name: "loft", slug: "loft-slug" });
      sql.exec(ADD_MACHINE, "attic", "attic-slug", "identity-of-another");
      log.push("attic-slug", "attic", push(0, [event(1)]), 1, NOW);
      log.addOwn(ATTIC, "delivery.expired", null, {}, NOW);
      expect(read(log).events.at(-1)).toMatchObject({ type: "delivery.expired", machine: "loft" });
    }));

  it("gives a live view the pieces of unfinished messages in their places, without storing them", () =>
    withLog((log, again) => {
      const pieces = [event(1), event(2, { type: "message.delta" }), event(3, { type: "message.delta" }), event(4)];
      log.push("a", "attic", push(0, pieces), 4, NOW);
      expect(read(log).events.map(({ machineSeq }) => machineSeq)).toEqual([1, 4]);
      expect(read(log, { detail: "deltas" }).events.map(({ machineSeq }) => machineSeq)).toEqual([1, 2, 3, 4]);
      expect(read(again(), { detail: "deltas" }).events.map(({ machineSeq }) => machineSeq)).toEqual([1, 4]);
    }));
});

describe("a person's log", () => {
  async function where(user: TestUser): Promise<string[]> {
    const { structuredContent } = await user.tool("poll_events", { timeout_ms: 0 });
    const events = structuredContent?.["events"] as { machine: string; seq: number }[] | undefined;
    return (events ?? []).map(({ machine, seq }) => `${machine} ${seq}`);
  }

  it("survives eviction of its object, and earlier cursors stay valid", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.logs("attic", [{}]);
    const { structuredContent } = await alice.tool("poll_events", { timeout_ms: 0 });
    await evictDurableObject(env.USER.getByName(alice.id));
    await alice.logs("attic", [{}, {}]);
    const args = { timeout_ms: 0, cursor: structuredContent?.["cursor"] };
    expect((await alice.tool("poll_events", args)).structuredContent?.["events"]).toMatchObject([{ seq: 2 }]);
  });

  it("takes a late report of a renamed machine for no other machine's that has its former name now", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "mini"]) await alice.machine(name);
    for (const name of ["cellar", "attic"]) await alice.script(name);
    await alice.rest("PATCH", "/api/machines/attic", { name: "cellar" });
    await alice.rest("PATCH", "/api/machines/mini", { name: "attic" });
    const late: EventPush = {
      after: 0,
      events: [event(1)],
      position: { epoch: "late", seq: 1 },
      gap: false,
      more: false,
    };
    // Of the computer that was called attic when it sent this.
    await alice.report("attic", { identity: "identity-of-attic", position: late.position }, undefined, { push: late });
    expect(await where(alice)).toEqual([]);
    expect(await alice.json("/api/machines")).toMatchObject({ machines: [{ status: "never_connected" }, {}] });
    await alice.report("attic", { identity: "identity-of-mini", position: late.position }, undefined, { push: late });
    expect(await where(alice)).toEqual(["attic 1"]);
  });

  it("takes a late report of a removed computer for no other's that has its name now", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.rest("DELETE", "/api/machines/attic");
    await alice.register("attic", { identity: "identity-of-another" });
    const position = { epoch: "late", seq: 1 };
    const late: EventPush = { after: 0, events: [event(1)], position, gap: false, more: false };
    const report = (identity: string) =>
      alice.report("attic", { identity, position, online: true }, undefined, { push: late });
    expect((await report("identity-of-attic")).headers.get("x-operator-stored")).toBeNull();
    expect(await where(alice)).toEqual([]);
    expect(await alice.json("/api/machines")).toMatchObject({ machines: [{ status: "never_connected" }] });
    // It comes back under the name that it had, and is heard again.
    await alice.register("attic", { identity: "identity-of-attic", replace: true });
    await report("identity-of-attic");
    expect(await where(alice)).toEqual(["attic 1"]);
  });

  it("shows a renamed machine's events under its new name, each once", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.script("loft");
    await alice.logs("attic", [{ session: "s1" }, {}]);
    await alice.rest("PATCH", "/api/machines/attic", { name: "loft" });
    await alice.logs("loft", [{ session: "s1" }, {}, {}]); // its script pushes all it has, since it does not know better
    expect(await where(alice)).toEqual(["loft 1", "loft 2", "loft 3"]);
  });

  it("includes the events of a script of version 0.2, which does not push, each once", async () => {
    const alice = new TestUser();
    const log = (count: number) => ({ epoch: "e", events: numbers(1, count).map((seq) => event(seq)) });
    await alice.machine("attic", { log: log(3) });
    const report = async (seq: number): Promise<void> => {
      const answer = await alice.report("attic", { online: true, template: "0.2.0", position: { epoch: "e", seq } });
      expect(answer.headers.get("x-operator-stored")).toBeNull();
    };
    const waiting = alice.tool("poll_events", { timeout_ms: 20_000 });
    await report(3);
    expect((await waiting).structuredContent?.["events"]).toMatchObject([{ seq: 1 }, { seq: 2 }, { seq: 3 }]);
    await alice.script("attic", { log: log(5) });
    const { structuredContent } = await alice.tool("poll_events", { timeout_ms: 0 });
    const next = alice.tool("poll_events", { timeout_ms: 20_000, cursor: structuredContent?.["cursor"] });
    await report(5);
    expect((await next).structuredContent?.["events"]).toMatchObject([{ seq: 4 }, { seq: 5 }]);
    // It is upgraded, and its successor pushes from where the log was read to.
    await alice.logs("attic", log(6).events);
    expect(await where(alice)).toEqual(numbers(1, 6).map((seq) => `attic ${seq}`));
  });

  it("hides other machines from a limited token, and a removed machine from a token for the machine that has its name now", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) {
      await alice.machine(name);
      await alice.logs(name, [{}]);
    }
    const token = async (): Promise<TestUser> => {
      const made = await alice.rest("POST", "/api/tokens", {
        label: "t",
        scopes: ["operator:read"],
        machines: ["attic"],
      });
      const { token: text }: { token: string } = await made.json();
      return new TestUser(alice.id, text);
    };
    expect(await where(await token())).toEqual(["attic 1"]);
    await alice.rest("DELETE", "/api/machines/attic");
    await alice.register("attic", { identity: "identity-of-another" });
    await alice.logs("attic", [{}, {}], { epoch: "another" });
    expect(await where(await token())).toEqual(["attic 1", "attic 2"]);
    expect(await where(alice)).toHaveLength(4);
  });
});
