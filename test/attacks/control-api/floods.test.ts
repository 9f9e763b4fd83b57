// Root cause: what costs something (a look-up, a stored row, a call to a machine) had no limit, or one limit for everybody.
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { errorResponse } from "#protocol/error.ts";
import { admit, Admission } from "../../../control-api/src/sign-in/admission.ts";
import { Client, directory, register, Visitor } from "../../control-api/sign-in/support/visitor.ts";
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

/** Admits requests as the gate does, but without serving them; answers why each was refused, and `ok` for the others. */
async function admitted(count: number, headersOf: () => Record<string, string>, admission = gate): Promise<string[]> {
  const url = new URL(`${ORIGIN}/mcp`);
  const outcomes: string[] = [];
  for (let done = 0; done < count; done += 1) {
    const found = await admission.admit(
      new Request(url, { headers: headersOf() }),
      { ...env, LOOPBACK_OWNER: "" },
      url,
    );
    outcomes.push("refused" in found ? found.refused : "ok");
  }
  return outcomes;
}

/** The tokens that are looked up from now on. Other calls to a person's object, such as a late audit entry, do not count. */
function tokensLookedUp(): string[] {
  const tokens: string[] = [];
  const getByName = env.USER.getByName.bind(env.USER);
  vi.spyOn(env.USER, "getByName").mockImplementation((name) => {
    const user = getByName(name);
    return new Proxy(user, {
      get: (_, method) =>
        method === "authenticate"
          ? (token: string, isCounted: boolean) => {
              tokens.push(token);
              return user.authenticate(token, isCounted);
            }
          : Reflect.get(user, method),
    });
  });
  return tokens;
}

/** The admission that the gate under test uses. */
const gate = { admit };

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
  const address = "203.0.113.9";
  /** The gate's, with a burst that can be sent in a moment. */
  const small = () => new Admission({ perSecond: 50, burst: 20 }, { perSecond: 2, burst: 120 });

  test("is refused without a look-up, and other tokens keep working", async () => {
    const [user, other] = [new TestUser(), new TestUser()];
    const [token, spare, neighbour] = [await tokenOf(user), await tokenOf(user), await tokenOf(other)];
    const admission = small();
    const send = (one: string, count: number) => admitted(count, () => bearerFrom(one, address), admission);
    // The first request is counted against the address, since its token is not known yet.
    expect(await send(token, 22)).toEqual([...Array.from({ length: 21 }, () => "ok"), "too_many"]);
    const looked = tokensLookedUp();
    expect(await send(token, 5)).toEqual(Array.from({ length: 5 }, () => "too_many"));
    expect(looked).toEqual([]);
    expect([...(await send(spare, 1)), ...(await send(neighbour, 1))]).toEqual(["ok", "ok"]);
    expect(looked).toEqual([spare, neighbour]);
    nowMs += 1_000;
    expect((await send(token, 21)).at(-1)).toBe("too_many");
    expect((await send(token, 1))[0]).toBe("too_many");
  });

  test("stays limited after a refresh gives it a new access token", async () => {
    const client = await Client.registered();
    const tokens = await client.signIn(await Visitor.invited());
    const admission = small();
    const send = (one: string, count: number) => admitted(count, () => bearerFrom(one, address), admission);
    await send(tokens.access_token, 21);
    const { access_token: next }: { access_token: string } = await (await client.refresh(tokens.refresh_token)).json();
    expect(await send(next, 2)).toEqual(["ok", "too_many"]);
  });

  test("can still be revoked at once, and is one that its address guesses from then on", async () => {
    const user = new TestUser();
    const admission = small();
    const made = await user.rest("POST", "/api/tokens", { label: "short" });
    const { token, id }: { token: string; id: string } = await made.json();
    const send = (count: number) => admitted(count, () => bearerFrom(token, address), admission);
    expect(await send(1)).toEqual(["ok"]);
    await user.rest("DELETE", `/api/tokens/${id}`);
    expect(await send(1)).toEqual(["bad_token"]);
    expect(await send(121)).toEqual([...Array.from({ length: 120 }, () => "bad_token"), "too_many"]);
  });
});

describe("an address that guesses tokens", () => {
  test("is refused without a look-up, and a token in use there keeps working", async () => {
    const address = "203.0.113.77";
    const valid = await tokenOf(new TestUser());
    expect((await call(valid, { address })).status).toBe(200);
    const guess = () => `opr_u-nobody_${crypto.randomUUID()}0000000`;
    const outcomes = await admitted(150, () => bearerFrom(guess(), address));
    expect(outcomes.filter((outcome) => outcome === "bad_token")).toHaveLength(120);
    expect(outcomes.filter((outcome) => outcome === "too_many")).toHaveLength(30);
    const user = new TestUser();
    await user.machine("attic");
    for (const url of [`${ORIGIN}/mcp`, `${ORIGIN}/m/${await user.slug("attic")}/mcp`]) {
      const refused = await call(guess(), { url, id: "mine", address });
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "1"]);
      const { id, code, message } = await refusalOf(refused);
      expect([id, code]).toEqual(["mine", "too_many_requests"]);
      expect(message).toContain("Wait 1 s");
    }
    expect(await user.reached("attic")).toEqual([]);
    expect((await call(valid, { address })).status).toBe(200);
    expect((await call(guess(), { address: "203.0.113.78" })).status).toBe(401);
    nowMs += 1_000;
    expect((await call(guess(), { address })).status).toBe(401);
  });

  test("is limited too when its tokens look like an app's, and at the REST interface", async () => {
    const address = "203.0.113.79";
    const guess = () => `owner:${crypto.randomUUID()}:${crypto.randomUUID()}`;
    expect((await admitted(121, () => bearerFrom(guess(), address))).at(-1)).toBe("too_many");
    const refused = await knock(`${ORIGIN}/api/machines`, { headers: bearerFrom(guess(), address) });
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ error: { code: "too_many_requests", of: "address" } });
  });
});

describe("an address at the pages", () => {
  test("cannot keep the directory of people busy, by signing out either", async () => {
    const headers = { [ADDRESS]: "203.0.113.94", cookie: "operator-8787=nobody", "sec-fetch-site": "same-origin" };
    const statusOf = async () => (await knock(`${ORIGIN}/sign-out`, { method: "POST", headers })).status;
    for (let count = 0; count < 300; count += 1) expect(await statusOf()).toBe(403);
    expect(await statusOf()).toBe(429);
    nowMs += 1_000;
    expect(await statusOf()).toBe(403);
  });
});

describe("a token with a budget", () => {
  test("makes no more than its calls per day, at every address that takes calls, even after its object restarts", async () => {
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

  test("cannot create tokens without a budget, and is listed with its budget", async () => {
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

/** One address for each number, all in one wide network and each in a smaller network of its own. */
const SERVERS = (number: number): string => `2001:db8:${number.toString(16)}:0::/64`;
const HOUSE = (number: number): string => `198.51.${100 + (number % 34)}.7`;

describe("codes for computers without a browser", () => {
  const asked = (place: string) => ({ clientId: "c", clientName: "codez", scope: [], audience: ORIGIN, place });

  test.each([
    ["34 addresses", HOUSE],
    ["an IPv6 /32", SERVERS],
  ])("remain available to everybody, whatever %s ask for", async (_, placeOf) => {
    const before = await directory().beginDevice(asked("192.0.2.1"));
    await runInDurableObject(directory(), async (accounts) => {
      for (let number = 0; number < 1_100; number += 1) await accounts.beginDevice(asked(placeOf(number)));
    });
    const after = await directory().beginDevice(asked("192.0.2.200"));
    for (const { userCode } of [before, after])
      expect(await directory().askedByDevice(userCode, "somebody")).not.toBeNull();
    const open = await runInDurableObject(directory(), (_accounts, { storage }) =>
      storage.sql.exec<{ count: number }>("SELECT COUNT(*) AS count FROM device WHERE state = 'open'").one(),
    );
    expect(open.count).toBe(1_000);
  });

  test("are limited for a wide network without affecting other networks", async () => {
    const limit = { times: 3, windowMs: 60_000 };
    const take = (address: string) => directory().takeFrom("test", address, limit);
    for (let number = 0; number < 30; number += 1) expect(await take(SERVERS(number))).toBe(0);
    expect(await take(SERVERS(30))).toBe(60_000);
    expect(await take("2001:db9:1:0::/64")).toBe(0);
    for (let count = 0; count < 3; count += 1) expect(await take("192.0.2.9")).toBe(0);
    expect(await take("192.0.2.9")).toBe(60_000);
    expect(await take("192.0.2.10")).toBe(0);
  });
});

describe("clients that register", () => {
  test("replace only unused clients of the network that registered the most", async () => {
    const person = await Visitor.invited();
    const [used, waiting, greedy] = [await Client.registered(), await Client.registered(), await Client.registered()];
    await used.signIn(person);
    await runInDurableObject(directory(), (accounts) => {
      for (let number = 1; number < 2_100; number += 1) accounts.addClient(`flood-${number}`, SERVERS(number));
    });
    // A real registration takes the place of a noted one: the oldest of the network with the most.
    await runInDurableObject(directory(), (_accounts, { storage }) =>
      storage.sql.exec(
        "INSERT OR REPLACE INTO unused_client SELECT ?, wide, middle, address, 0 FROM unused_client WHERE client LIKE 'flood-%' LIMIT 1",
        greedy.id,
      ),
    );
    const added = await Client.registered();
    for (const client of [used, waiting, added]) await expect(client.consent(person)).resolves.toBeInstanceOf(URL);
    await expect(greedy.consent(person)).rejects.toThrow("no consent");
  });

  test("cannot make Operator store much for them", async () => {
    const large = { client_name: "x".repeat(20_000), redirect_uris: ["https://client.test/callback"] };
    const refused = await register(large);
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: "invalid_client_metadata" }]);
  });
});

describe("a request to open a link", () => {
  const dial = (slug: string, token: string, address: string) =>
    knock(`${ORIGIN}/m/${slug}/link`, {
      headers: { upgrade: "websocket", authorization: `Bearer ${token}`, [ADDRESS]: address },
    });

  test("without a possible link token reaches no script", async () => {
    const user = new TestUser();
    await user.machine("attic");
    const slug = await user.slug("attic");
    for (const token of ["", "opl_", "opr_owner_x", "secret", `opl_${"x".repeat(600)}`])
      expect((await dial(slug, token, "203.0.113.90")).status).toBe(401);
    const method = "POST";
    const posted = await knock(`${ORIGIN}/m/${slug}/link`, { method, headers: { authorization: "Bearer opl_x" } });
    expect(posted.status).toBe(401);
    expect(await user.reached("attic")).toEqual([]);
  });

  test("passes as well when the machine only asks for its own status", async () => {
    const user = new TestUser();
    await user.machine("attic");
    const slug = await user.slug("attic");
    await knock(`${ORIGIN}/m/${slug}/link`, { headers: { authorization: "Bearer opl_x" } });
    expect(await user.reached("attic")).toHaveLength(1);
  });

  test("is refused after too many wrong tokens from its address, and other addresses are not affected", async () => {
    const user = new TestUser();
    const statuses: number[] = [];
    for (let guess = 0; guess < 61; guess += 1)
      statuses.push((await dial("nobody--00000000", `opl_${guess}`, "203.0.113.91")).status);
    expect(statuses.slice(0, 60)).toEqual(Array.from({ length: 60 }, () => 401));
    expect(statuses[60]).toBe(429);
    await user.machine("attic");
    const slug = await user.slug("attic");
    const before = (await user.reached("attic")).length;
    const refused = await dial(slug, "opl_valid", "203.0.113.91");
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([429, "10"]);
    expect(await user.reached("attic")).toHaveLength(before);
    await dial(slug, "opl_valid", "203.0.113.92");
    expect(await user.reached("attic")).toHaveLength(before + 1);
  });

  test("is refused after as many at other machines, also to a connector that is linked to its own in between", async () => {
    const own = "own--00000000";
    const DISPATCHER = {
      fetch: async ({ headers }: Request) =>
        headers.get("x-operator-machine") === own
          ? new Response(null, { status: 101, webSocket: new WebSocketPair()[0] })
          : errorResponse({ code: "unauthorized" }),
    } as unknown as Fetcher;
    const headers = { upgrade: "websocket", authorization: "Bearer opl_own", [ADDRESS]: "203.0.113.93" };
    const statusAt = async (slug: string) =>
      (await knock(`${ORIGIN}/m/${slug}/link`, { headers }, { DISPATCHER })).status;
    const statuses = new Set<number>();
    // More than the burst, as a slow computer gives some back meanwhile.
    for (let guess = 0; guess < 90; guess += 1) {
      expect(await statusAt(own)).toBe(101);
      statuses.add(await statusAt("nobody--00000000"));
    }
    expect(statuses).toEqual(new Set([401, 429]));
    expect(await statusAt(own)).toBe(101);
  });
});
