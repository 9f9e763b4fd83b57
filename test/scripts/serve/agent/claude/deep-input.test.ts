import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import type { AgentEvent } from "../../../../../scripts/serve/agent/agent.ts";
import { ClaudeRun } from "../../../../../scripts/serve/agent/claude/claude-run.ts";
import { readParts } from "../../../../../scripts/serve/agent/claude/content-part.ts";
import { EventLog } from "../../../../../scripts/serve/event-log.ts";
import { asksRoute } from "../../../../../scripts/serve/permission/ask-route.ts";
import { PermissionBook } from "../../../../../scripts/serve/permission/book.ts";

/** An input that `JSON.parse` reads and `JSON.stringify` does not write. */
const DEEP = `${'{"a":'.repeat(20_000)}1${"}".repeat(20_000)}`;

test("a tool's input or result that is nested too deep is not shown, and everything beside it is", () => {
  const input: unknown = JSON.parse(DEEP);
  const parts = readParts([
    { type: "text", text: "look" },
    { type: "tool_use", id: "1", name: "Bash", input },
    { type: "tool_use", id: "2", name: "Bash", input: { command: "true" } },
    { type: "tool_result", tool_use_id: "2", content: input },
  ]);
  expect(JSON.stringify(parts)).toContain('"command":"true"');
  expect(parts).toHaveLength(4);
});

test("a request for permission whose input is nested too deep is denied, without asking a person", async () => {
  const folder = mkdtempSync(join(tmpdir(), "codez-deep-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const ask = `{"type":"control_request","request_id":"r","request":{"subtype":"can_use_tool","tool_name":"Bash","input":${DEEP}}}`;
  writeFileSync(join(folder, "ask"), `${ask}\n`);
  const child = spawn("/bin/sh", ["-c", "cat ask; head -n 1 > answer"], { cwd: folder });
  const guard = { kill: async () => void child.kill("SIGKILL"), killOrphans: async () => undefined };
  const events: AgentEvent[] = [];
  const ended = new Promise<void>((resolve) => {
    const run = new ClaudeRun(child, child.pid ?? 0, guard, (event) => {
      events.push(event);
      if (event.type === "permission.requested") run.respond("r", { behavior: "deny", reason: "by a person" });
      if (event.type === "ended") resolve();
    });
  });
  await ended;
  expect(events.map(({ type }) => type)).toEqual(["ended"]);
  expect(JSON.parse(readFileSync(join(folder, "answer"), "utf8"))).toMatchObject({
    response: { request_id: "r", response: { behavior: "deny" } },
  });
});

test("neither does a terminal's request with such an input get into the book, or take a place there", async () => {
  const folder = mkdtempSync(join(tmpdir(), "codez-deep-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const book = new PermissionBook(join(folder, "permissions.json"), new EventLog(), () => 60_000);
  const route = asksRoute(book, "token");
  const session = "00000000-0000-4000-8000-000000000000";
  const request = () => new Request("http://127.0.0.1/local/asks", { method: "POST" });
  const body = `{"session":"${session}","cwd":"/","tool":"Bash","toolUse":"t","input":${DEEP}}`;
  for (let count = 0; count < 60; count += 1) expect((await route.handle(request(), body)).status).toBe(400);
  const next = { session, cwd: "/", tool: "Bash", toolUse: "t", input: {} };
  expect((await route.handle(request(), JSON.stringify(next))).status).toBe(200);
  await book.stop();
});
