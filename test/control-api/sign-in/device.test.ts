import { runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import type { Env } from "../../../control-api/src/env.ts";
import { DEVICE_GRANT } from "../../../control-api/src/sign-in/oauth/metadata.ts";
import { ORIGIN } from "../support/operator.ts";
import { ask, Client, directory, errorOf, statusWith, token, type Tokens, Visitor } from "./support/visitor.ts";

type DeviceCode = {
  device_code: string;
  user_code: string;
  verification_uri: string;
  interval: number;
  expires_in: number;
};

let person: Visitor;
let device: Client;
beforeAll(async () => {
  person = await Visitor.invited();
  device = await Client.registered({ client_name: "codez on attic" }, "http://127.0.0.1/callback");
});

async function begin(more: Record<string, string> = {}): Promise<DeviceCode> {
  const body = new URLSearchParams({ client_id: device.id, scope: "operator:admin", ...more });
  return (await ask("/oauth/device_authorization", { method: "POST", body })).json();
}

function poll({ device_code: code }: DeviceCode, client = device, overrides: Partial<Env> = {}): Promise<Response> {
  const form = {
    grant_type: DEVICE_GRANT,
    device_code: code,
    client_id: client.id,
  };
  return token(form, overrides);
}

async function decide(
  visitor: Visitor,
  { user_code: code }: DeviceCode,
  decision: "allow" | "deny",
): Promise<Response> {
  return visitor.post("/pair", { csrf: await visitor.csrf("/pair"), code, decision });
}

/** Lets time go by for what is waiting. */
function pass(ms: number): Promise<void> {
  return runInDurableObject(directory(), (_, state) => {
    state.storage.sql.exec("UPDATE device SET next_ms = next_ms - ?, expires_ms = expires_ms - ?", ms, ms);
  });
}

describe("a computer without a browser", () => {
  test("shows a short code without similar letters, valid for minutes", async () => {
    const code = await begin();
    expect(code.user_code).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
    expect(code).toMatchObject({ verification_uri: `${ORIGIN}/pair`, interval: 5, expires_in: 600 });
  });

  test("gets its token once, after its owner approves it on a page that shows who asks", async () => {
    const code = await begin();
    expect(await errorOf(await poll(code))).toBe("authorization_pending");
    const page = await (await person.get(`/pair?code=${code.user_code.toLowerCase()}`)).text();
    expect(page).toContain("codez on attic");
    expect(page).toContain("If somebody sent you the code");
    expect((await decide(person, code, "allow")).status).toBe(200);
    await pass(5_000);
    const tokens: Tokens = await (await poll(code)).json();
    expect(tokens.scope).toBe("operator:admin");
    expect(await statusWith(tokens.access_token, "/api/tokens")).toBe(200);
    await pass(5_000);
    expect(await errorOf(await poll(code))).toBe("expired_token");
  });

  test("gets its token at its next attempt, if it could not be issued because an object was restarted", async () => {
    const code = await begin();
    await decide(person, code, "allow");
    const restarting = { getByName: () => ({ read: () => Promise.reject(new Error("restarted")) }) };
    const OAUTH_STORE = restarting as unknown as Env["OAUTH_STORE"];
    expect(await errorOf(await poll(code, device, { OAUTH_STORE }))).toBe("temporarily_unavailable");
    expect((await poll(code)).status).toBe(200);
    expect(await errorOf(await poll(code))).toBe("expired_token");
  });

  test("is told to slow down when it asks too often, more each time", async () => {
    // It asks again at once, however long this computer takes.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    onTestFinished(() => void vi.useRealTimers());
    const code = await begin();
    expect(await errorOf(await poll(code))).toBe("authorization_pending");
    expect(await errorOf(await poll(code))).toBe("slow_down");
    await pass(5_000);
    expect(await errorOf(await poll(code))).toBe("slow_down");
    await pass(14_000);
    expect(await errorOf(await poll(code))).toBe("authorization_pending");
  });

  test("is told when its owner denies it", async () => {
    const code = await begin();
    await decide(person, code, "deny");
    expect(await errorOf(await poll(code))).toBe("access_denied");
  });

  test("waits at most ten minutes", async () => {
    const code = await begin();
    await pass(600_001);
    expect(await errorOf(await poll(code))).toBe("expired_token");
    expect(await (await decide(person, code, "allow")).text()).toContain("No computer is waiting");
  });

  test("must be a registered client, and ask for one of our resources", async () => {
    const body = (more: Record<string, string>) => new URLSearchParams({ client_id: device.id, ...more });
    const asked = (form: URLSearchParams) => ask("/oauth/device_authorization", { method: "POST", body: form });
    expect(await errorOf(await asked(body({ client_id: "nobody" })))).toBe("invalid_client");
    // Its tokens would not be given to what cannot show a secret.
    const { id } = await Client.registered({ token_endpoint_auth_method: "client_secret_basic" });
    expect(await errorOf(await asked(body({ client_id: id })))).toBe("invalid_client");
    expect(await errorOf(await asked(body({ resource: "https://elsewhere.test/mcp" })))).toBe("invalid_target");
  });

  test("asks with a form in which each parameter has one value (RFC 8628 section 3.1)", async () => {
    const asked = (body: BodyInit) => ask("/oauth/device_authorization", { method: "POST", body });
    const form = (more: string) => new URLSearchParams(`client_id=${device.id}&${more}`);
    expect((await asked(form("resource=&scope="))).status).toBe(200);
    expect(await errorOf(await asked(form(`client_id=${device.id}`)))).toBe("invalid_request");
    expect(await errorOf(await asked(form("scope=operator:read&scope=operator:admin")))).toBe("invalid_request");
    expect(await errorOf(await asked(form(`resource=${ORIGIN}/mcp&resource=${ORIGIN}/m/attic/mcp`)))).toBe(
      "invalid_target",
    );
    const twice = new URLSearchParams({ grant_type: DEVICE_GRANT, client_id: device.id, device_code: "one" });
    twice.append("device_code", "other");
    expect(await errorOf(await ask("/oauth/token", { method: "POST", body: twice }))).toBe("invalid_request");
    const parts = new FormData();
    parts.set("client_id", device.id);
    expect(await errorOf(await asked(parts))).toBe("invalid_request");
  });
});

describe("a device's code", () => {
  test("is useless to another client", async () => {
    const code = await begin();
    await decide(person, code, "allow");
    const other = await Client.registered({}, "http://127.0.0.1/callback");
    expect(await errorOf(await poll(code, other))).toBe("expired_token");
    expect((await poll(code)).status).toBe(200);
  });

  test("cannot be approved twice, or without a sign-in", async () => {
    const code = await begin();
    const stranger = await new Visitor().post("/pair", { code: code.user_code, decision: "allow" });
    expect(stranger.headers.get("location")).toContain("/sign-in");
    expect(await errorOf(await poll(code))).toBe("authorization_pending");
    await decide(person, code, "allow");
    const other = await Visitor.invited();
    expect(await (await decide(other, code, "allow")).text()).toContain("No computer is waiting");
  });

  test("can be guessed ten times by one person, who then has to wait", async () => {
    const guesser = await Visitor.invited();
    const statuses: number[] = [];
    for (let guess = 0; guess < 11; guess += 1) statuses.push((await guesser.get("/pair?code=BBBB-BBBB")).status);
    expect(statuses.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 404));
    expect(statuses[10]).toBe(429);
  });

  test.each(["allow", "deny"] as const)("cannot be guessed by deciding at once (%s) either", async (decision) => {
    const [guesser, code] = [await Visitor.invited(), await begin()];
    const csrf = await guesser.csrf("/pair");
    const guess = async (typed: string) => (await guesser.post("/pair", { csrf, code: typed, decision })).status;
    for (let count = 0; count < 10; count += 1) expect(await guess("BBBB-BBBB")).toBe(200);
    expect(await guess(code.user_code)).toBe(429);
    expect(await errorOf(await poll(code))).toBe("authorization_pending");
  });

  test("is typed correctly as often as somebody has computers", async () => {
    const owner = await Visitor.invited();
    for (let count = 0; count < 12; count += 1) {
      const code = await begin();
      expect((await owner.get(`/pair?code=${code.user_code}`)).status).toBe(200);
      expect(await (await decide(owner, code, "deny")).text()).toContain("Denied");
    }
  });

  test("is stored as a hash, like the device's secret code", async () => {
    const code = await begin();
    const rows = await runInDurableObject(directory(), (_, state) =>
      JSON.stringify(state.storage.sql.exec("SELECT * FROM device").toArray()),
    );
    expect(rows).not.toContain(code.device_code);
    expect(rows).not.toContain(code.user_code);
    expect(rows).not.toContain(code.user_code.replace("-", ""));
  });
});

test("apps can be registered only so often from one address", async () => {
  const address = "203.0.113.31";
  for (let count = 0; count < 60; count += 1)
    expect(await directory().takeFrom("register", address, { times: 60, windowMs: 60 * 60_000 })).toBe(0);
  const headers = { "content-type": "application/json", "cf-connecting-ip": address };
  const body = JSON.stringify({ redirect_uris: ["https://client.test/callback"], token_endpoint_auth_method: "none" });
  const register = (from: Record<string, string>) =>
    ask("/oauth/register", { method: "POST", headers: { ...headers, ...from }, body });
  expect((await register({})).status).toBe(429);
  expect((await register({ "cf-connecting-ip": "203.0.113.32" })).status).toBe(201);
});

test("a device's codes can be requested only so often from one address", async () => {
  const headers = { "cf-connecting-ip": "203.0.113.30" };
  const statuses: number[] = [];
  for (let count = 0; count < 31; count += 1) {
    const body = new URLSearchParams({ client_id: device.id });
    statuses.push((await ask("/oauth/device_authorization", { method: "POST", body, headers })).status);
  }
  expect(statuses.filter((status) => status === 200)).toHaveLength(30);
  expect(statuses[30]).toBe(429);
});
