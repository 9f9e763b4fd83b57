import { utimesSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Follower } from "../../../../scripts/serve/search-index/follower.ts";
import { MemoryStore } from "../../../../scripts/serve/search-index/memory-store.ts";
import { search } from "../../../../scripts/serve/search-index/search.ts";
import { SqliteStore } from "../../../../scripts/serve/search-index/sqlite-store.ts";
import type { Store } from "../../../../scripts/serve/search-index/store.ts";
import { said, sessionId, TestHistory, toolResult } from "../history/support/history-file.ts";

const NOW = "2026-11-01T10:00:08Z";
const NOW_MS = Date.parse(NOW);
const MONTH_BEFORE = "2026-10-01T00:00:00Z";
const [A, B] = [sessionId(1), sessionId(2)];
const LONG = "in a text of some length, ".repeat(20);

let history: TestHistory;
let store: Store | null;
beforeEach(() => {
  history = new TestHistory();
  store = null;
});
afterEach(() => {
  store?.close();
  history[Symbol.dispose]();
});

async function found(query: string, kind: "sqlite" | "memory" = "sqlite") {
  store = kind === "memory" ? new MemoryStore() : await SqliteStore.open(join(history.folder, "index.db"));
  if (store === null) throw new Error("this Node has no SQLite with full-text search");
  await new Follower(history.folder, store, () => undefined).sweep();
  return search(store, query, NOW_MS);
}

async function order(query: string): Promise<string[]> {
  return (await found(query)).sessions.map(({ session }) => session);
}

test("what somebody said comes before the newer output of a tool", async () => {
  history.write("-api", A, [toolResult(`needle ${LONG}`)]);
  history.write("-api", B, [said(`needle ${LONG}`, { at: MONTH_BEFORE })]);
  expect(await order("needle")).toEqual([B, A]);
});

test("a session with many matches comes before a newer one with a single match", async () => {
  const many = Array.from({ length: 8 }, (_, index) => said(`needle ${LONG}`, { at: MONTH_BEFORE, id: `${index}` }));
  history.write("-api", A, [said(`needle ${LONG}`, { at: NOW })]);
  history.write("-api", B, many);
  expect(await order("needle")).toEqual([B, A]);
});

test("the exact phrase comes before newer texts with the same words", async () => {
  history.write("-api", A, [said(`needle ${LONG} sharp`, { at: NOW })]);
  history.write("-api", B, [said(`sharp needle ${LONG}`, { at: MONTH_BEFORE })]);
  expect(await order("sharp needle")).toEqual([B, A]);
});

test("a text in which the words are a tenth is as good as one of nothing else, and the newer one comes first", async () => {
  history.write("-api", A, [said("needle", { at: "2024-01-01T00:00:00Z" })]);
  history.write("-api", B, [said("a needle is here for you to find", { at: NOW })]);
  expect(await order("needle")).toEqual([B, A]);
});

test("a time in the future counts as now", async () => {
  history.write("-api", A, [said(`needle ${LONG}`, { at: "2100-01-01T00:00:00Z" })]);
  history.write(
    "-api",
    B,
    ["one", "two"].map((id) => said(`needle ${LONG}`, { at: NOW, id })),
  );
  expect(await order("needle")).toEqual([B, A]);
});

test("an answer has 20 sessions at most, with three matches each", async () => {
  for (let session = 1; session <= 25; session += 1)
    history.write(
      "-api",
      sessionId(session),
      Array.from({ length: 5 }, (_, index) => said(`needle ${LONG}`, { at: NOW, id: `${session} ${index}` })),
    );
  const { sessions } = await found("needle");
  expect(sessions.map(({ matches }) => matches.length)).toEqual(Array.from({ length: 20 }, () => 3));
});

test("only the 60 likeliest sessions are read", async () => {
  history.write("-api", A, [said("sharp needle", { at: "2010-01-01T00:00:00Z" })]);
  for (let session = 2; session <= 60; session += 1)
    history.write("-api", sessionId(session), [said(`needle ${LONG} sharp`, { at: NOW, id: `${session}` })]);
  expect((await order("sharp needle"))[0]).toBe(A);
  history.write("-api", sessionId(61), [said(`needle ${LONG} sharp`, { at: NOW, id: "61" })]);
  store?.close();
  expect(await order("sharp needle")).not.toContain(A);
});

test.each(["sqlite", "memory"] as const)("only the newest 2,000 matches are examined: %s", async (kind) => {
  const old = history.write("-api", A, [said("needle", { at: MONTH_BEFORE })]);
  utimesSync(old, new Date(MONTH_BEFORE), new Date(MONTH_BEFORE));
  history.write(
    "-api",
    B,
    Array.from({ length: 2_000 }, (_, index) => said("needle", { at: NOW, id: `${index}` })),
  );
  const { sessions, filesLeft } = await found("needle", kind);
  expect([sessions.map(({ session }) => session), filesLeft]).toEqual([[B], kind === "memory" ? 1 : 0]);
});
