// Root cause: a token's rate and its calls a day were counted for each HTTP request, and a JSON-RPC batch of revision 2025-03-26 has a hundred calls
// in one. At a machine's own URL it could have any number.
import { beforeEach, describe, expect, test } from "vitest";
import { TestUser } from "../../control-api/support/operator.ts";

const HEADERS = {
  "content-type": "application/json",
  accept: "application/json, text/event-stream",
  "mcp-protocol-version": "2025-03-26",
};

function batch(calls: number): string {
  const params = { name: "list_machines", arguments: {} };
  return JSON.stringify(
    Array.from({ length: calls }, (_, id) => ({ jsonrpc: "2.0", id, method: "tools/call", params })),
  );
}

describe("a batch counts as many calls of a token's budget as it has", () => {
  let user: TestUser;
  let token: TestUser;
  beforeEach(async () => {
    user = new TestUser();
    await user.machine("attic");
    const limits = { label: "three", scopes: ["mcp:tools"], callsPerDay: 3 };
    const made: { token: string } = await (await user.rest("POST", "/api/tokens", limits)).json();
    token = new TestUser(user.id, made.token);
  });

  const post = (path: string, body: string, more: Record<string, string> = {}) =>
    token.fetch(path, {
      method: "POST",
      headers: { ...HEADERS, "content-length": String(body.length), ...more },
      body,
    });

  const machine = async (): Promise<string> => `/m/${await user.slug("attic")}/mcp`;

  test.each(["/mcp", "machine"])("at %s", async (where) => {
    const path = where === "machine" ? await machine() : where;
    const large = await post(path, ` ${batch(4)}`);
    expect(large.status).toBe(429);
    const errors: { id: number; error: { data: { code: string } } }[] = await large.json();
    expect(errors.map(({ id }) => id)).toEqual([0, 1, 2, 3]);
    expect(JSON.stringify(errors[0])).toContain("budget_spent");
    expect(await user.reached("attic")).toEqual([]);
  });

  // Python's `json` takes NaN, and other parsers take a comma before the bracket.
  test.each([
    ["NaN", (text: string) => text.replace('"arguments":{}', '"arguments":{"x":NaN}')],
    ["a last comma", (text: string) => text.replace(/\]$/, ",]")],
  ])("at a machine whose server reads %s in it", async (_what, changed) => {
    const refused = await post(await machine(), changed(batch(4)));
    expect([refused.status, await user.reached("attic")]).toEqual([429, []]);
  });

  test("and one within it is served", async () => {
    expect((await post("/mcp", batch(3))).status).toBe(200);
    expect((await post("/mcp", batch(1))).status).toBe(429);
  });

  test("and at a machine's URL one that is not held is refused", async () => {
    const body = new Blob([`\n${batch(3)}`]).stream();
    const refused = await token.fetch(await machine(), { method: "POST", headers: HEADERS, body });
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain("Send its messages one by one");
  });
});
