import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { peerBin } from "../../peers/bin.ts";
import { TestMachine } from "./support/machine.ts";
import { TokenDoor } from "./support/token-door.ts";

let machine: TestMachine;
let door: TokenDoor;
let results: string;

beforeAll(async () => {
  machine = await TestMachine.start();
  door = await TokenDoor.start(machine);
  results = mkdtempSync(join(tmpdir(), "conformance-"));
});
afterAll(async () => {
  await door[Symbol.asyncDispose]();
  await machine[Symbol.asyncDispose]();
  rmSync(results, { recursive: true });
});

/** The public suite's scenarios that need no tools, resources or prompts of its own reference server. */
const SCENARIOS = [
  ["2025-11-25", "server-initialize"],
  ["2025-11-25", "server-session-lifecycle"],
  ["2025-11-25", "ping"],
  ["2025-11-25", "tools-list"],
  ["2025-11-25", "server-sse-multiple-streams"],
  ["2025-11-25", "dns-rebinding-protection"],
  ["2026-07-28", "tools-list"],
  ["2026-07-28", "server-sse-multiple-streams"],
  ["2026-07-28", "dns-rebinding-protection"],
] as const;

/** The suite's last line, e.g. "Passed: 3/3, 0 failed, 0 warnings". Its exit code alone does not say that any check ran. */
const SUMMARY = /^Passed: (\d+)\/(\d+), 0 failed, 0 warnings$/m;

test.each(SCENARIOS)("the public conformance suite, %s: %s", async (revision, scenario) => {
  const args = ["server", "--url", door.url, "--spec-version", revision, "--scenario", scenario];
  const { code, output } = await new Promise<{ code: unknown; output: string }>((resolve) => {
    execFile(process.execPath, [peerBin("conformance"), ...args], { cwd: results }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, output: stdout + stderr });
    });
  });
  expect(code, output).toBe(0);
  const [, passed, total] = SUMMARY.exec(output) ?? [];
  expect(Number(passed), output).toBeGreaterThan(0);
  expect(passed, output).toBe(total);
});
