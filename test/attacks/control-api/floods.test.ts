// Root cause: what costs something (a look-up, a stored row, a call to a machine) had no limit, or one limit for everybody.
import { evictDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { admit } from "../../../control-api/src/sign-in/admission.ts";
import { env, knock, ORIGIN, type RpcAnswer, TestUser } from "../../control-api/support/operator.ts";

const ADDRESS = "cf-connecting-ip";

async function tokenOf(user: TestUser, more: object = {}): Promise<string> {
  const response = await user.rest("POST", "/api/tokens", { label: "flood", scopes: ["mcp:tools"], ...more });
  const { token }: { token: string } = await response.json();
  return token;
}

function call(token: string, { url = `${ORIGIN}/mcp`, id = 7 as unknown, address = "203.0.113.9" } = {}) {
  const body = JSON.stringify({ jsonrpc: "2.0", id, method: "tools/list" });
  const headers = {
    authorization: `Bearer ${token}`,
    "content-type": "application/json",
    "content-length": String(body.length),
    accept: "application/json, text/event-stream",
    [ADDRESS]: address,
  };
  return knock(url, { method: "POST", headers, body });
}

/** Admits requests like the gate does, but without serving them; answers why each was refused, and `ok` for the others. */
async function admitted(count: number, headersOf: () => Record<string, string>): Promise<string[]> {
  const url = new URL(`${ORIGIN}/mcp`);
  const outcomes: string[] = [];
  for (let done = 0; done < count; done += 100) {
    const batch = Array.from({ length: Math.min(100, count - done) }, () =>
      admit(new Request(url, { headers: headersOf() }), { ...env, LOOPBACK_OWNER: "" }, url),
    );
    for (const found of await Promise.all(batch)) outcomes.push("refused" in found ? found.refused : "ok");
  }
  return outcomes;
}

function bearerFrom(token: string, address: string): Record<string, string> {
  return { authorization: `Bearer ${token}`, [ADDRESS]: address };
}

async function refusalOf(response: Response): Promise<{ id: unknown; code: unknown; message: string }> {
  const { id, error }: RpcAnswer = await response.json();
  return { id, code: (error?.data as { code?: unknown } | undefined)?.code, message: error?.message ?? "" };
}

// The limits refill with time. It stands still here, so that a slow computer counts the same.
let nowMs = Date.UTC(2026, 10, 21, 12);
beforeEach(() => void vi.spyOn(Date, "now").mockImplementation(() => nowMs));
afterEach(() => vi.restoreAllMocks());

describe("a token that is sent too fast", () => {
  test("is told when to go on, under the id of its call, and nobody else's is", async () => {
    const [user, other] = [new TestUser(), new TestUser()];
    await user.machine("attic");
    const [token, spare, neighbour] = [await tokenOf(user), await tokenOf(user), await tokenOf(other)];
    const address = "203.0.113.9";
    // The first request is counted against the address, since its token is not known yet.
    expect(await admitted(1, () => bearerFrom(token, address))).toEqual(["ok"]);
    const outcomes = await admitted(3_001, () => bearerFrom(token, address));
    expect(outcomes.filter((outcome) => outcome === "ok")).toHaveLength(3_000);
    for (const url of [`${ORIGIN}/mcp`, `${ORIGIN}/m/${await user.slug("attic")}/mcp`]) {
      const refused = await call(token, { url, id: "mine", address });
      expect(refused.status).toBe(429);
      expect(refused.headers.get("retry-after")).toBe("1");
      const { id, code, message } = await refusalOf(refused);
      expect([id, code]).toEqual(["mine", "too_many_requests"]);
      expect(message).toContain("Nothing was done");
    }
    expect(await user.reached("attic")).toEqual([]);
    expect((await call(spare, { address })).status).toBe(200);
    expect((await call(neighbour, { address })).status).toBe(200);
    nowMs += 1_000;
    expect((await call(token, { address })).status).toBe(200);
  });
});

describe("an address that guesses tokens", () => {
  test("is refused without a look-up, and a token that is in use there goes on working", async () => {
    const address = "203.0.113.77";
    const valid = await tokenOf(new TestUser());
    expect((await call(valid, { address })).status).toBe(200);
    const guess = () => `opr_u-nobody_${crypto.randomUUID()}0000000`;
    const outcomes = await admitted(150, () => bearerFrom(guess(), address));
    expect(outcomes.filter((outcome) => outcome === "bad_token")).toHaveLength(120);
    expect(outcomes.filter((outcome) => outcome === "too_many")).toHaveLength(30);
    const refused = await call(guess(), { address });
    expect([refused.status, (await refusalOf(refused)).code]).toEqual([429, "too_many_requests"]);
    expect((await call(valid, { address })).status).toBe(200);
    expect((await call(guess(), { address: "203.0.113.78" })).status).toBe(401);
    nowMs += 1_000;
    expect((await call(guess(), { address })).status).toBe(401);
  });

  test("is counted when its tokens look like an app's, and at the REST interface", async () => {
    const address = "203.0.113.79";
    const guess = () => `owner:${crypto.randomUUID()}:${crypto.randomUUID()}`;
    expect((await admitted(121, () => bearerFrom(guess(), address))).at(-1)).toBe("too_many");
    const refused = await knock(`${ORIGIN}/api/machines`, { headers: bearerFrom(guess(), address) });
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ error: { code: "too_many_requests", of: "address" } });
  });
});

describe("a token with a budget", () => {
  test("makes its calls of a day and no more, at every address that takes calls, also after its object restarts", async () => {
    const user = new TestUser();
    await user.machine("attic");
    const token = await tokenOf(user, { callsPerDay: 3 });
    const urls = [`${ORIGIN}/mcp`, `${ORIGIN}/m/${await user.slug("attic")}/mcp`];
    for (const url of urls) expect((await call(token, { url })).status).toBe(200);
    await evictDurableObject(env.USER.getByName(user.id));
    const machines = await knock(`${ORIGIN}/api/machines`, { headers: { authorization: `Bearer ${token}` } });
    expect(machines.status).toBe(200);
    await evictDurableObject(env.USER.getByName(user.id));
    for (const url of urls) {
      const refused = await call(token, { url });
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get("retry-after"))).toBeLessThanOrEqual(86_400);
      expect(await refusalOf(refused)).toMatchObject({ id: 7, code: "budget_spent" });
    }
  });

  test("cannot make tokens that have none, and is shown with its budget", async () => {
    const user = new TestUser();
    const admin = { label: "x", callsPerDay: 5, scopes: ["operator:admin"] };
    expect((await user.rest("POST", "/api/tokens", admin)).status).toBe(400);
    for (const callsPerDay of [0, -1, 1.5, "many", 1e12])
      expect((await user.rest("POST", "/api/tokens", { label: "x", callsPerDay })).status).toBe(400);
    const made = await user.rest("POST", "/api/tokens", { label: "x", callsPerDay: 5 });
    expect(await made.json()).toMatchObject({ callsPerDay: 5, scopes: ["mcp:tools"] });
    expect(await user.json("/api/tokens")).toMatchObject({ tokens: [{ callsPerDay: 5 }] });
  });
});
