import { describe, expect, it } from "vitest";
import type { Env } from "../../../control-api/src/env.ts";
import { isRestart } from "../../../control-api/src/http/object-restart.ts";
import { codeOf, env, knock, ORIGIN, TestUser, type RpcAnswer, type ToolResult } from "../support/operator.ts";
import { restart } from "../support/restart.ts";

/** Users' objects, of which this method fails so many times as it does when the object is restarted. Counts its calls. */
function restarting(method: string, times: number): { USER: Env["USER"]; calls: () => number } {
  let calls = 0;
  const getByName = (name: string): unknown =>
    new Proxy(env.USER.getByName(name), {
      get(stub, property) {
        if (property !== method) return Reflect.get(stub, property);
        return (...args: unknown[]) => {
          calls += 1;
          // As workerd marks it: seen with `ctx.abort()` in workerd 1.20260815.
          if (calls <= times) throw Object.assign(new Error("The object was reset."), { durableObjectReset: true });
          return (stub as unknown as Record<string, (...args: unknown[]) => unknown>)[method]?.(...args);
        };
      },
    });
  return { USER: { getByName } as unknown as Env["USER"], calls: () => calls };
}

async function listMachines(user: TestUser, USER: Env["USER"]): Promise<ToolResult> {
  const params = { name: "list_machines", arguments: {} };
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params });
  const answer = await knock(`${ORIGIN}/mcp`, { method: "POST", headers, body }, { LOOPBACK_OWNER: user.id, USER });
  const text = await answer.text();
  const line =
    text
      .split("\n")
      .find((one) => one.startsWith("data: "))
      ?.slice(6) ?? text;
  return (JSON.parse(line) as RpcAnswer).result as unknown as ToolResult;
}

describe("a request whose object is restarted meanwhile", () => {
  it("is answered all the same if it only reads", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    const { USER, calls } = restarting("machinesByName", 1);
    const answer = await knock(`${ORIGIN}/api/machines`, {}, { LOOPBACK_OWNER: alice.id, USER });
    expect([answer.status, calls()]).toEqual([200, 2]);
    expect(await answer.json()).toMatchObject({ machines: [{ name: "attic" }] });
  });

  it("fails if it is restarted again", async () => {
    const { USER, calls } = restarting("machinesByName", 2);
    const answer = await knock(`${ORIGIN}/api/machines`, {}, { LOOPBACK_OWNER: new TestUser().id, USER });
    expect([answer.status, await codeOf(answer), calls()]).toEqual([500, "internal", 2]);
  });

  it("fails if it changes something, which may have been done", async () => {
    const { USER, calls } = restarting("register", 1);
    const body = JSON.stringify({ name: "attic", identity: "identity-of-attic" });
    const answer = await knock(
      `${ORIGIN}/api/machines`,
      { method: "POST", body },
      { LOOPBACK_OWNER: new TestUser().id, USER },
    );
    expect([answer.status, await codeOf(answer), calls()]).toEqual([500, "internal", 1]);
  });
});

describe("a tool that only reads", () => {
  it("is called again when an object was restarted", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    const { USER, calls } = restarting("machinePage", 1);
    expect(await listMachines(alice, USER)).toMatchObject({ structuredContent: { machines: [{ name: "attic" }] } });
    expect(calls()).toBe(2);
  });

  it("answers with a typed error when it was restarted twice", async () => {
    const { USER } = restarting("machinePage", 2);
    expect(await listMachines(new TestUser(), USER)).toMatchObject({
      isError: true,
      structuredContent: { error: { code: "internal", retryable: true } },
    });
  });
});

it("the runtime marks the error of a call that a restart has ended", async () => {
  const user = env.USER.getByName(`u-${crypto.randomUUID()}`) as unknown as DurableObjectStub & Env["USER"];
  const call = (user as unknown as { awaitRevocation(ms: number): Promise<void> }).awaitRevocation(60_000);
  const failure = call.then(
    () => null,
    (reason: unknown) => reason,
  );
  await restart(user);
  expect(isRestart(await failure)).toBe(true);
});

it("an overloaded object is not asked again at once", () => {
  const failure = (marks: object): Error => Object.assign(new Error(), marks);
  expect(isRestart(failure({ retryable: true }))).toBe(true);
  expect(isRestart(failure({ retryable: true, overloaded: true }))).toBe(false);
  expect(isRestart(failure({}))).toBe(false);
});

it("a caller with a token is identified again, and gets a typed error if that fails twice", async () => {
  const alice = new TestUser();
  const made: { token: string } = await (await alice.rest("POST", "/api/tokens", { label: "test" })).json();
  const headers = { authorization: `Bearer ${made.token}` };
  for (const [times, status] of [
    [1, 405],
    [2, 500],
  ] as const) {
    const { USER } = restarting("authenticate", times);
    const answer = await knock(`${ORIGIN}/mcp`, { headers }, { USER });
    expect(answer.status).toBe(status);
    if (status === 500) expect(await codeOf(answer)).toBe("internal");
  }
});
