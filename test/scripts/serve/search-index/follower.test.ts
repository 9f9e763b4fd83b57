import * as fc from "fast-check";
import { readdirSync, rmSync, statSync, truncateSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Follower, type Growth } from "../../../../scripts/serve/search-index/follower.ts";
import { emptyFacts } from "../../../../scripts/serve/search-index/ingest.ts";
import { MemoryStore } from "../../../../scripts/serve/search-index/memory-store.ts";
import { search } from "../../../../scripts/serve/search-index/search.ts";
import { SqliteStore } from "../../../../scripts/serve/search-index/sqlite-store.ts";
import type { Store } from "../../../../scripts/serve/search-index/store.ts";
import { answered, cost, said, sessionId, TestHistory, toolResult } from "../history/support/history-file.ts";

const NOW_MS = Date.parse("2026-11-21T00:00:00Z");
const [A, B, C] = [sessionId(1), sessionId(2), sessionId(3)];

async function sqlite(folder: string): Promise<Store> {
  const store = await SqliteStore.open(join(folder, "index.db"));
  if (store === null) throw new Error("this Node has no SQLite with full-text search");
  return store;
}

test("the database and its journal can be read by their owner alone, whatever the umask", async () => {
  using history = new TestHistory();
  history.write("-api", A, [said("a secret")]);
  const before = process.umask(0);
  try {
    const store = await sqlite(history.folder);
    await new Follower(history.folder, store, () => undefined).sweep();
  } finally {
    process.umask(before);
  }
  const files = readdirSync(history.folder).filter((name) => name.startsWith("index.db"));
  expect(files).toContain("index.db-wal");
  for (const name of files) expect(statSync(join(history.folder, name)).mode & 0o777).toBe(0o600);
});

describe.each([
  { kind: "sqlite", open: sqlite },
  { kind: "memory", open: async () => new MemoryStore() },
])("with the $kind store", ({ open }) => {
  async function follow(history: TestHistory) {
    const store = await open(history.folder);
    const growth: Growth[] = [];
    const follower = new Follower(history.folder, store, (one) => growth.push(one));
    await follower.sweep();
    return { store, follower, growth };
  }

  test("a session's facts come from its file", async () => {
    using history = new TestHistory();
    const lines = [said("fix the flaky test"), answered("done"), said("thanks"), cost(0.5), "broken\n"];
    history.write("-api", A, lines);
    const { store } = await follow(history);
    expect(store.facts(A)).toMatchObject({
      session: A,
      slug: "-api",
      title: "fix the flaky test",
      cwd: "/src/api",
      branch: "main",
      model: "claude-opus-5-5",
      prompts: 2,
      answers: 1,
      costUsd: 0.5,
      unreadableLines: 1,
      lines: 5,
      firstAtMs: Date.parse("2026-11-01T10:00:00Z"),
    });
    expect(store.sessionsOf("-api").map((facts) => facts.session)).toEqual([A]);
    store.close();
  });

  test.each([
    ["none", {}],
    ["one", { timestamp: "2026-11-01T10:00:00.000Z" }],
    ["the last one that there is", { timestamp: "+275760-09-13T00:00:00.000Z" }],
  ])("thousands of messages with the same time, %s, are all found", async (_time, time) => {
    using history = new TestHistory();
    const lines = Array.from({ length: 5_000 }, (_, index) => ({
      type: "user",
      uuid: `u-${index}`,
      ...time,
      message: { role: "user", content: `word${index}` },
    }));
    history.write("-api", A, lines);
    const { store } = await follow(history);
    for (const word of ["word0", "word2500", "word4999"])
      expect((await search(store, `"${word}"`, NOW_MS)).sessions.map(({ session }) => session)).toEqual([A]);
    store.close();
  });

  test("a title is a person's, else a model's, else the first prompt, and never Claude Code's own text", async () => {
    using history = new TestHistory();
    const meta = { ...said("<command-name>/init</command-name>"), isMeta: true };
    history.write("-api", A, [
      meta,
      said("<local-command-stdout>x</local-command-stdout>"),
      said("first prompt"),
      said("second"),
    ]);
    history.write("-api", B, [
      said("prompt"),
      { type: "custom-title", customTitle: "Mine" },
      { type: "ai-title", aiTitle: "Model's" },
    ]);
    history.write("-api", C, [{ type: "queue-operation" }]);
    const { store } = await follow(history);
    expect(store.facts(A)?.title).toBe("first prompt");
    expect(store.facts(B)?.title).toBe("Mine");
    expect(store.facts(C)?.title).toBe(null);
    store.close();
  });

  test("a search finds words of a message, prefixes of the last word, and phrases, recent ones first, with context", async () => {
    using history = new TestHistory();
    const recent = { at: "2026-11-20T00:00:00Z" };
    const old = { at: "2025-01-01T00:00:00Z" };
    history.write("-api", A, [said("the quick brown fox jumps", old), answered("over the lazy dog", old)]);
    history.write("-web", B, [said("a quick brown fox, again", recent), toolResult("error: ENOENT in reader.ts")]);
    const { store } = await follow(history);
    const sessions = async (query: string) => (await search(store, query, NOW_MS)).sessions;
    expect((await sessions("QUICK fox")).map((one) => one.session)).toEqual([B, A]);
    expect((await sessions("quick jum")).map((one) => one.session)).toEqual([A]);
    expect((await sessions('"brown fox again"')).length + (await sessions('"fox brown"')).length).toBeLessThan(2);
    expect(await sessions("quick dog")).toEqual([]);
    expect((await sessions("enoent"))[0]?.matches[0]?.snippet).toContain("ENOENT in reader.ts");
    for (const odd of ["", "   ", '"', "* OR NEAR(", "'; DROP TABLE file; --", "-", "a:b", "(", "🦊"]) {
      await expect(sessions(odd), odd).resolves.toBeInstanceOf(Array);
    }
    store.close();
  });

  test("new text is found and reported once, and a half-written line waits for its rest", async () => {
    using history = new TestHistory();
    history.write("-api", A, [said("old news")]);
    const { store, follower, growth } = await follow(history);
    expect(growth).toEqual([]);
    const half = JSON.stringify(answered("fresh news"));
    history.append("-api", A, [said("more"), half.slice(0, 40)]);
    await follower.sweep();
    history.append("-api", A, [`${half.slice(40)}\n`]);
    await follower.sweep();
    await follower.sweep();
    expect(growth.flatMap((one) => one.added.map(({ message }) => message.id))).toEqual(["u-more", "a-fresh news"]);
    expect((await search(store, "fresh", NOW_MS)).sessions.map((one) => one.session)).toEqual([A]);
    history.write("-api", B, [said("a new session")]);
    await follower.sweep();
    expect(growth.at(-1)).toMatchObject({ session: B, slug: "-api", isNew: true, cwd: "/src/api", model: null });
    expect(follower.progress()).toMatchObject({ filesBehind: 0, isComplete: true, files: 2 });
    store.close();
  });

  test("a deleted or rewritten file is forgotten", async () => {
    using history = new TestHistory();
    const gone = history.write("-api", A, [said("alpha")]);
    const rewritten = history.write("-api", B, [said("beta one"), said("beta two")]);
    const { store, follower } = await follow(history);
    rmSync(gone);
    truncateSync(rewritten, 0);
    history.append("-api", B, [said("gamma")]);
    await follower.sweep();
    const found = async (query: string) => (await search(store, query, NOW_MS)).sessions.length;
    expect(await found("alpha")).toBe(0);
    expect(await found("beta")).toBe(0);
    expect(await found("gamma")).toBe(1);
    expect(store.facts(A)).toBe(null);
    expect(store.facts(B)).toMatchObject({ prompts: 1, title: "gamma" });
    store.close();
  });

  test("usage is counted by day, project and model, and the several lines of an answer and copies of a fork count once", async () => {
    using history = new TestHistory();
    const one = answered("one");
    history.write("-api", A, [
      said("x"),
      one,
      { ...one, uuid: "a-second-block" },
      answered("two", { at: "2026-11-02T10:00:00Z" }),
    ]);
    history.write("-api", B, [said("x"), one, answered("three", { at: "2026-11-02T10:00:00Z" }), cost(0.125)]);
    const { store } = await follow(history);
    const byDay = Object.fromEntries(store.usage().map((sum) => [sum.day, sum]));
    expect(byDay["2026-11-01"]).toMatchObject({
      slug: "-api",
      model: "claude-opus-5-5",
      tokens: { input: 100, output: 10 },
    });
    expect(byDay["2026-11-02"]).toMatchObject({ tokens: { input: 200, output: 20, cacheRead: 2_000, cacheWrite: 0 } });
    // 100 x 1 + 10 x 5 + 1,000 x 0.1 weighted tokens cost 0.125.
    expect(store.prices()).toEqual([{ model: "claude-opus-5-5", usdPerToken: 0.0005 }]);
    store.close();
  });

  test("unknown and damaged files never stop the index", async () => {
    using history = new TestHistory();
    history.write("-api", "agent-1", [said("not a session")]);
    history.write("-api", A, ["\u0000".repeat(5_000)]);
    history.write("..strange", B, [said("in a strange folder")]);
    const { mkdirSync, symlinkSync, writeFileSync } = await import("node:fs");
    mkdirSync(join(history.folder, "-api", `${B}.jsonl`));
    symlinkSync("/nowhere", join(history.folder, "-api", `${C}.jsonl`));
    writeFileSync(join(history.folder, "a file.txt"), "x");
    mkdirSync(join(history.folder, "-api", C, "subagents"), { recursive: true });
    writeFileSync(
      join(history.folder, "-api", C, "subagents", "agent-x.jsonl"),
      `${JSON.stringify(answered("of a subagent"))}\n`,
    );
    const { store, follower } = await follow(history);
    expect(store.sessionsOf("-api").map((facts) => facts.session)).toEqual([A]);
    expect(store.tokensOf({ session: C })).toHaveLength(1);
    expect(follower.progress().isComplete).toBe(true);
    store.close();
  });

  test("however a file grows, the result is the same as if it had been complete at once", async () => {
    const line = fc.constantFrom(said("p"), answered("q"), answered("r"), "broken\n", cost(1), {
      type: "ai-title",
      aiTitle: "T",
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(line, { maxLength: 12 }),
        fc.array(fc.nat(4_000), { maxLength: 6 }),
        async (lines, cuts) => {
          using grown = new TestHistory();
          using whole = new TestHistory();
          const content = lines.map((one) => (typeof one === "string" ? one : `${JSON.stringify(one)}\n`)).join("");
          const at = [0, ...cuts.map((cut) => Math.min(cut, content.length)).sort((a, b) => a - b), content.length];
          const path = grown.write("-api", A, []);
          const { store, follower } = await follow(grown);
          for (const [index, start] of at.slice(0, -1).entries()) {
            grown.append("-api", A, [content.slice(start, at[index + 1])]);
            // A clock too coarse to tell the writes apart.
            utimesSync(path, new Date(), new Date(1_700_000_000_000));
            await follower.sweep();
          }
          whole.write("-api", A, [content]);
          const other = await follow(whole);
          const facts = (one: Store) => ({ ...one.facts(A), path: "", mtimeMs: 0 });
          expect(facts(store)).toEqual(facts(other.store));
          expect(store.usage()).toEqual(other.store.usage());
          store.close();
          other.store.close();
        },
      ),
      { numRuns: 25 },
    );
  });
});

test("what is new in a file is added once, although all files are read while the busy ones are", async () => {
  using history = new TestHistory();
  history.write("-api", A, [said("one")]);
  const store = new MemoryStore();
  let added = 0;
  const follower = new Follower(history.folder, store, (growth) => (added += growth.added.length));
  await follower.sweep();
  for (const text of ["two", "three"]) {
    history.append("-api", A, [said(text)]);
    await Promise.all([follower.glance(), follower.sweep(), follower.glance()]);
  }
  expect(store.facts(A)).toMatchObject({ prompts: 3, lines: 3 });
  expect(added).toBe(2);
});

test("a search without an index may find more messages of a session than a call has arguments", async () => {
  using history = new TestHistory();
  history.write(
    "-api",
    A,
    Array.from({ length: 130_000 }, () => '{"type":"user","message":{"role":"user","content":"hit"}}\n'),
  );
  const store = new MemoryStore();
  const file = { path: history.path("-api", A), session: A, slug: "-api", isMain: true };
  store.write({ facts: emptyFacts(file), passages: [], usage: [], prices: [] });
  const { sessions } = await search(store, "hit", NOW_MS);
  expect(sessions.map(({ session }) => session)).toEqual([A]);
});

test("the index of an earlier run is continued, and a damaged one is built again", async () => {
  using history = new TestHistory();
  history.write("-api", A, [said("remembered")]);
  const first = await sqlite(history.folder);
  await new Follower(history.folder, first, () => undefined).sweep();
  first.close();
  const again = await sqlite(history.folder);
  expect(again.facts(A)?.title).toBe("remembered");
  again.close();
  const { writeFileSync } = await import("node:fs");
  writeFileSync(join(history.folder, "index.db"), "this is no database".repeat(1_000));
  const anew = await sqlite(history.folder);
  expect(anew.files()).toEqual([]);
  anew.close();
});
