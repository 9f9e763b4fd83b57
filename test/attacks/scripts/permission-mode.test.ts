// Root cause: only a mode that was asked for was compared with the owner's maximum; the default, a resumed session, a
// running session and an approved plan were not.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ServeConfig } from "../../../scripts/serve/config.ts";
import { atMost, isAbove, PERMISSION_MODES, type PermissionMode } from "../../../scripts/serve/permission-mode.ts";
import { Policy } from "../../../scripts/serve/policy.ts";
import type { Script } from "../../peers/messages-api.ts";
import { TestMachine, type TestClient } from "../../scripts/serve/support/machine.ts";

/** In the order of what they may do, written down once more so that a change of order is noticed. */
const ORDER: PermissionMode[] = ["plan", "dontAsk", "default", "acceptEdits", "auto", "bypassPermissions"];
const PAIRS = ORDER.flatMap((highest) => ORDER.map((mode) => ({ mode, highest })));

function policy(config: object): Policy {
  return new Policy(
    () => ServeConfig.parse(config),
    () => Promise.resolve([]),
  );
}

describe("the resulting mode, for each requested mode and maximum", () => {
  test.each(PAIRS)("$mode under $highest", ({ mode, highest }) => {
    const isTooHigh = ORDER.indexOf(mode) > ORDER.indexOf(highest);
    expect(isAbove(mode, highest)).toBe(isTooHigh);
    expect(atMost(mode, highest)).toBe(isTooHigh ? highest : mode);
    const asked = () => policy({ maxPermissionMode: highest }).mayUse(mode);
    if (isTooHigh) expect(asked).toThrow(/above the highest that this machine allows/);
    else expect(asked()).toBe(mode);
    // Without a requested mode: the owner's default, limited to the owner's maximum.
    const used = policy({ maxPermissionMode: highest, defaultPermissionMode: mode }).mayUse(undefined);
    expect(used).toBe(isTooHigh ? highest : mode);
  });
});

test("the order has every mode", () => {
  expect([...PERMISSION_MODES]).toEqual(ORDER);
});

describe("with the real Claude Code", () => {
  let machine: TestMachine;
  let client: TestClient;

  /** Leaves plan mode and then makes a file, whatever it is told. */
  const script: Script = ({ prompt, results }) => {
    if (prompt !== "go") return { blocks: [{ text: "ok" }] };
    if (results.length === 0) return { blocks: [{ tool: "ExitPlanMode", input: { plan: "make a file" } }] };
    if (results.length === 1) return { blocks: [{ tool: "Bash", input: { command: "touch made", description: "x" } }] };
    return { blocks: [{ text: "done" }] };
  };

  beforeAll(async () => {
    machine = await TestMachine.start({ config: { maxPermissionMode: "plan", respondPermission: true }, script });
    client = await machine.connect();
  });
  afterAll(async () => {
    await client[Symbol.asyncDispose]();
    await machine[Symbol.asyncDispose]();
  });

  test("approving a plan does not leave plan mode where plan is the maximum", async () => {
    const cwd = machine.repo("repo");
    const made = await client.call("create_session", { cwd });
    expect(made["permission_mode"]).toBe("plan");
    const input = { session_id: made["session_id"], text: "go", timeout_ms: 60_000 };
    // In plan mode, what changes something waits for a person.
    const turn = await client.call("send_and_wait", input);
    expect(turn).toMatchObject({ status: "waiting", permission_requests: [{ tool: "Bash" }] });
    await client.call("abort_session", { session_id: made["session_id"] });
    expect(existsSync(join(cwd, "made"))).toBe(false);
    expect(machine.api.lastOfTurn?.tools).not.toContain("ExitPlanMode");
  });

  test("a running session and an idle one are limited to what the owner allows now", async () => {
    machine.configure({ maxPermissionMode: "acceptEdits", defaultPermissionMode: "acceptEdits" });
    const session = await client.create(machine.repo("repo"));
    const say = async () => {
      await client.call("send_and_wait", { session_id: session, text: "hello", timeout_ms: 60_000 });
      const { session: facts } = await client.call("get_session", { session_id: session });
      return (facts as { permission_mode: string }).permission_mode;
    };
    expect(await say()).toBe("acceptEdits");
    machine.configure({ maxPermissionMode: "plan" });
    expect(await say()).toBe("plan");
    machine.configure({ maxPermissionMode: "acceptEdits" });
    await client.call("dispose_session", { session_id: session });
    machine.configure({ maxPermissionMode: "dontAsk" });
    expect(await say()).toBe("dontAsk");
  });
});
