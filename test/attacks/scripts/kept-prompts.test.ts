// Root cause: what waits for a session, and what its person has decided, was limited in number and not in size. A hundred prompts with pictures filled the
// memory of `codez serve`, and five hundred decisions about large files were written to disk as a whole with each change.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Prompt } from "../../../scripts/serve/agent/agent.ts";
import { ServeConfig } from "../../../scripts/serve/config.ts";
import { ServeFailure } from "../../../scripts/serve/error.ts";
import { EventLog } from "../../../scripts/serve/event-log.ts";
import { PermissionBook } from "../../../scripts/serve/permission/book.ts";
import { LiveSession } from "../../../scripts/serve/session/live-session.ts";

let folder: string;
let book: PermissionBook;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "kept-prompts-"));
  book = new PermissionBook(join(folder, "permissions.json"), new EventLog(), () => 60_000);
});
afterEach(async () => {
  await book.stop();
  rmSync(folder, { recursive: true });
});

const MEGABYTE = "x".repeat(1024 * 1024);

test("decisions about large inputs are kept within a limited size, the newest of them, and what waits is kept in any case", () => {
  const ask = (id: string): void =>
    void book.ask(
      { session: "s", cwd: "/", respond: () => undefined },
      { id, tool: "Write", toolUse: id, input: { file_path: "/f", content: MEGABYTE }, why: null },
    );
  const waiting = Array.from({ length: 3 }, (_, index) => `waits-${index}`);
  for (const id of waiting) ask(id);
  for (let index = 0; index < 16; index += 1) {
    ask(`decided-${index}`);
    book.respond(`decided-${index}`, { behavior: "allow" }, "machine");
  }
  expect(book.pending().map(({ id }) => id)).toEqual(waiting);
  expect(book.get("decided-15").settled).toMatchObject({ behavior: "allow" });
  expect(book.get("decided-10").settled).toMatchObject({ behavior: "allow" });
  expect(() => book.get("decided-2")).toThrow(ServeFailure);
});

test("prompts that wait for a session have a limited size, and one is always taken", () => {
  const config = ServeConfig.parse({});
  const options = { id: "s", cwd: "/", slug: "-", model: null, permissionMode: "default", config } as const;
  const session = new LiveSession({ ...options, events: new EventLog(), permissions: book, onEnded: () => undefined });
  const content = MEGABYTE.repeat(30);
  const prompt = (id: string): Prompt => ({
    id,
    text: "look",
    isCommand: false,
    attachments: [
      { mediaType: "image/png", content, name: null },
      { mediaType: "image/png", content, name: null },
    ],
  });
  session.prompt({ ...prompt("1"), text: content });
  expect(() => session.prompt(prompt("2"))).toThrow("in its queue already");
  expect(() => session.prompt({ ...prompt("3"), attachments: [] })).toThrow(ServeFailure);
  expect(session.queued).toBe(1);
});
