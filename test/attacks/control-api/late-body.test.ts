/**
 * Root cause: a caller was let in when the head of a call arrived, and the call was made when its body had, for a machine's name and without another
 * look. A lease looks after a second. A body that took a little less reached the computer that had the name by then.
 */
import { describe, expect, test } from "vitest";
import { utf8 } from "#protocol/bytes.ts";
import { codeOf, TestUser } from "../../control-api/support/operator.ts";
import { ask } from "../../control-api/sign-in/support/visitor.ts";

/** Much longer than a body is waited for without another look, and shorter than the time after which a lease looks anyway. */
const LATE_MS = 300;

const message = (params: object): Uint8Array =>
  utf8(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params }));

describe.each([
  [
    "a call at the machine's own address",
    async (user: TestUser) => ({
      path: `/m/${await user.slug("attic")}/mcp`,
      body: message({ name: "echo", arguments: {} }),
    }),
  ],
  [
    "a call at /mcp",
    async () => ({
      path: "/mcp",
      body: message({ name: "call_tool", arguments: { machineId: "attic", name: "echo", arguments: {} } }),
    }),
  ],
])("%s whose body comes late", (_what, made) => {
  /** Begins a call with a token that is limited to one computer, and ends it after `change`. */
  async function call(change: (user: TestUser, token: string) => Promise<unknown>) {
    const user = new TestUser();
    await user.machine("attic");
    const limited = await user.rest("POST", "/api/tokens", { label: "narrow", machines: ["attic"] });
    const { id, token } = await limited.json<{ id: string; token: string }>();
    const { path, body } = await made(user);
    const { readable, writable } = new FixedLengthStream(body.length);
    const headers = {
      authorization: `Bearer ${token}`,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "content-length": String(body.length),
    };
    const answer = ask(path, { method: "POST", headers, body: readable });
    const writer = writable.getWriter();
    await writer.write(body.slice(0, 1));
    await scheduler.wait(LATE_MS);
    await change(user, id);
    const before = (await user.reached("attic")).length;
    await writer.write(body.slice(1));
    await writer.close();
    const response = await answer;
    const told = response.ok ? await response.text() : await codeOf(response);
    return { status: response.status, told, reached: (await user.reached("attic")).length - before };
  }

  test("does not reach the computer that has the name by then", async () => {
    const another = { identity: "identity-of-another", replace: true };
    const { status, told, reached } = await call((user) => user.register("attic", another));
    expect([status, told, reached]).toEqual([401, "unauthorized", 0]);
  });

  test("is not made if its token was revoked meanwhile", async () => {
    const { status, told, reached } = await call((user, id) => user.rest("DELETE", `/api/tokens/${id}`));
    expect([status, told, reached]).toEqual([401, "unauthorized", 0]);
  });

  test("is made if nothing has changed", async () => {
    const { status, reached } = await call(() => Promise.resolve());
    expect([status, reached]).toEqual([200, 1]);
  });
});
