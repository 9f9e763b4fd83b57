import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { Decision, PermissionAsk } from "../../../../scripts/serve/agent/agent.ts";
import { EventLog, type ServeEvent } from "../../../../scripts/serve/event-log.ts";
import { PermissionBook } from "../../../../scripts/serve/permission/book.ts";

const MINUTE_MS = 60_000;

let folder: string;
let path: string;
let nowMs: number;
let told: ServeEvent[];
let passedOn: (readonly [Decision, boolean])[];
const books: PermissionBook[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "codez-book-"));
  path = join(folder, "permissions.json");
  [nowMs, told, passedOn] = [0, [], []];
});
afterEach(async () => {
  await Promise.all(books.splice(0).map((book) => book.stop()));
  rmSync(folder, { recursive: true });
});

function makeBook(): PermissionBook {
  const events = new EventLog(() => nowMs);
  events.subscribe((event) => told.push(event));
  const book = new PermissionBook(
    path,
    events,
    () => MINUTE_MS,
    () => nowMs,
  );
  books.push(book);
  return book;
}

function ask(book: PermissionBook, id: string, more: Partial<PermissionAsk> = {}): void {
  const respond = (...decided: [Decision, boolean]): void => void passedOn.push(decided);
  const asked = { id, tool: "Bash", toolUse: "t", input: { command: "ls" }, why: null, ...more };
  book.ask({ session: "s", cwd: "/", respond }, asked);
}

/** The code of the refusal; `null` if the work was done. */
function codeOf(work: () => unknown): string | null {
  try {
    work();
    return null;
  } catch (reason) {
    return (reason as { error: { code: string } }).error.code;
  }
}

const ALLOW = { behavior: "allow" } as const;
const DENY = { behavior: "deny", reason: "no" } as const;

it("a request is decided once: the same answer again changes nothing, and another one is refused", () => {
  const book = makeBook();
  ask(book, "r");
  expect(book.respond("r", ALLOW, "operator", "ada").first).toBe(true);
  expect(book.respond("r", ALLOW, "client").first).toBe(false);
  expect(codeOf(() => book.respond("r", DENY, "machine"))).toBe("request_settled");
  book.withdraw("r");
  book.leave("r");
  nowMs = 2 * MINUTE_MS;
  book.expire();
  expect(book.get("r").settled).toMatchObject({ behavior: "allow", by: "operator", who: "ada" });
  expect(passedOn).toEqual([[ALLOW, true]]);
  expect(told.filter(({ type }) => type === "permission.resolved")).toHaveLength(1);
});

it("when its time is up a request is denied and not before, and whoever denies it then is told that it was too late", () => {
  const book = makeBook();
  ask(book, "r");
  nowMs = MINUTE_MS - 1;
  book.expire();
  expect(passedOn).toEqual([]);
  nowMs = MINUTE_MS;
  book.expire();
  expect(passedOn).toEqual([[{ behavior: "deny", reason: expect.stringContaining("nobody answered") }, false]]);
  expect(codeOf(() => book.respond("r", DENY, "machine"))).toBe("request_settled");
});

it("nothing is allowed for the session unless the agent offered something for it, and only a question takes answers", () => {
  const book = makeBook();
  ask(book, "r");
  const input = { questions: [{ question: "Which?", header: "W", multiSelect: false, options: [] }] };
  ask(book, "q", { tool: "AskUserQuestion", input });
  const refused = [
    ["r", { behavior: "allow", forSession: true }],
    ["r", { behavior: "allow", answers: { "Which?": "this" } }],
    ["q", ALLOW],
    ["q", { behavior: "allow", answers: { "Which?": "this", "What else?": "that" } }],
  ] as const;
  for (const [id, decision] of refused)
    expect(
      codeOf(() => book.respond(id, decision, "machine")),
      JSON.stringify(decision),
    ).toBe("arguments_invalid");
  expect(book.pending()).toHaveLength(2);
  expect(passedOn).toEqual([]);
  ask(book, "s", { sessionRules: ["Bash(ls)"] });
  expect(book.respond("s", { behavior: "allow", forSession: true }, "machine").request.settled?.forSession).toBe(true);
});

it("what waited when serve ended is closed at the next start, and cannot be allowed any more", async () => {
  const book = makeBook();
  ask(book, "open");
  ask(book, "decided");
  book.respond("decided", ALLOW, "machine");
  await book.stop();
  const later = makeBook();
  await later.load();
  expect(later.pending()).toEqual([]);
  expect(later.get("open").settled).toMatchObject({ behavior: "deny", by: "restart" });
  expect(codeOf(() => later.respond("open", ALLOW, "machine"))).toBe("request_settled");
  expect(later.respond("decided", ALLOW, "machine").first).toBe(false);
});

it("the newest 500 settled requests are kept, with eight million characters together, and all that wait", () => {
  const book = makeBook();
  ask(book, "waits");
  for (let number = 0; number < 502; number += 1) {
    ask(book, `r${number}`);
    book.respond(`r${number}`, ALLOW, "machine");
  }
  expect(codeOf(() => book.get("r1"))).toBe("request_unknown");
  expect(codeOf(() => book.get("r2"))).toBeNull();
  for (const id of ["large", "larger"]) {
    ask(book, id, { input: { content: "x".repeat(5_000_000) } });
    book.respond(id, ALLOW, "machine");
  }
  expect(["waits", "larger"].map((id) => codeOf(() => book.get(id)))).toEqual([null, null]);
  expect(["large", "r501"].map((id) => codeOf(() => book.get(id)))).toEqual(["request_unknown", "request_unknown"]);
});
