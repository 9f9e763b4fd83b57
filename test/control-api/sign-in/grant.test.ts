import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { ORIGIN } from "../support/operator.ts";
import { somebody } from "../pages/support/person.ts";
import {
  ask,
  backIn,
  bearer,
  CALLBACK,
  Client,
  errorOf,
  statusWith,
  token,
  type Tokens,
  Visitor,
} from "./support/visitor.ts";

let person: Visitor;
beforeAll(async () => {
  person = await Visitor.invited();
});

describe("a grant", () => {
  test("gives a client access after one consent, with the state and the issuer in the answer", async () => {
    const client = await Client.registered();
    const answer = await client.consent(person);
    expect(answer.origin + answer.pathname).toBe(CALLBACK);
    expect(answer.searchParams.get("state")).toBe("the-state");
    expect(answer.searchParams.get("iss")).toBe(ORIGIN);
    const response = await client.redeem(answer.searchParams.get("code") ?? "");
    const tokens: Tokens = await response.json();
    expect(tokens).toMatchObject({ scope: "mcp:tools", resource: `${ORIGIN}/mcp`, expires_in: 3600 });
    expect(response.headers.get("cache-control")).toBe("no-store");
    expect(await statusWith(tokens.access_token)).toBe(200);
  });

  test("sends its code past every cache, and its app does not learn the address of the page", async () => {
    const client = await Client.registered();
    const path = client.authorizePath();
    const { status, headers } = await person.post(path, { csrf: await person.csrf(path), decision: "allow" });
    expect([status, headers.get("cache-control"), headers.get("referrer-policy")]).toEqual([
      303,
      "no-store",
      "no-referrer",
    ]);
    const refused = await client.redeem("no-code");
    expect([refused.status, refused.headers.get("cache-control")]).toEqual([400, "no-store"]);
    const repeated = await ask("/oauth/token", { method: "POST", body: new URLSearchParams("code=a&code=b") });
    expect([repeated.status, repeated.headers.get("cache-control")]).toEqual([400, "no-store"]);
  });

  test("gives nothing when it is denied", async () => {
    const client = await Client.registered();
    const path = client.authorizePath();
    const response = await person.post(path, { csrf: await person.csrf(path), decision: "deny" });
    const location = new URL(response.headers.get("location") ?? "");
    expect(location.searchParams.get("error")).toBe("access_denied");
    expect(location.searchParams.get("state")).toBe("the-state");
    expect(location.searchParams.get("iss")).toBe(ORIGIN);
    expect(location.searchParams.has("code")).toBe(false);
  });

  test("can be reduced by the person to less than the client asked for", async () => {
    const { access_token: accessToken, scope } = await (
      await Client.registered()
    ).signIn(person, {}, { read_only: "yes" });
    expect(scope).toBe("operator:read");
    expect(await statusWith(accessToken)).toBe(200);
  });

  test("is listed, and all its tokens end when its person revokes it", async () => {
    const visitor = await Visitor.invited();
    const client = await Client.registered({ client_name: "Listed" });
    const { access_token: admin } = await (await Client.registered()).signIn(visitor, { scope: "operator:admin" });
    const tokens = await client.signIn(visitor);
    const { grants }: { grants: { id: string; client: string }[] } = await (
      await ask("/api/grants", bearer(admin))
    ).json();
    const listed = grants.find((grant) => grant.client === "Listed");
    const gone = await ask(`/api/grants/${listed?.id}`, { method: "DELETE", ...bearer(admin) });
    expect(gone.status).toBe(204);
    expect(await statusWith(tokens.access_token)).toBe(401);
    expect((await client.refresh(tokens.refresh_token)).status).toBe(400);
    expect(await statusWith(admin)).toBe(200);
  });

  test("cannot be seen or revoked by another person", async () => {
    const tokens = await (await Client.registered({ client_name: "Mine" })).signIn(person, { scope: "operator:admin" });
    const { grants }: { grants: { id: string }[] } = await (
      await ask("/api/grants", bearer(tokens.access_token))
    ).json();
    const other = await Visitor.invited();
    const { access_token: theirs } = await (await Client.registered()).signIn(other, { scope: "operator:admin" });
    const seen: { grants: { client: string }[] } = await (await ask("/api/grants", bearer(theirs))).json();
    expect(seen.grants.map(({ client }) => client)).not.toContain("Mine");
    const response = await ask(`/api/grants/${grants[0]?.id}`, { method: "DELETE", ...bearer(theirs) });
    expect(response.status).toBe(404);
    expect(await statusWith(tokens.access_token)).toBe(200);
  });

  test("can be revoked by its client (RFC 7009), and by no other client", async () => {
    const client = await Client.registered();
    const tokens = await client.signIn(person);
    const other = await Client.registered();
    await token({ token: tokens.refresh_token, client_id: other.id });
    expect(await statusWith(tokens.access_token)).toBe(200);
    expect((await token({ token: tokens.refresh_token, client_id: client.id })).status).toBe(200);
    expect(await statusWith(tokens.access_token)).toBe(401);
  });
});

describe("a token's audience", () => {
  const MACHINE = "http://attic.localhost:8787";

  test("can be the apex, which excludes both addresses of a machine", async () => {
    const { access_token: accessToken } = await (await Client.registered()).signIn(person);
    expect(await statusWith(accessToken, "/m/attic/mcp")).toBe(401); // before it was seen where it is good, too
    expect(await statusWith(accessToken, "/api/me")).toBe(200);
    expect(await statusWith(accessToken, "/m/attic/mcp")).toBe(401);
    expect(await statusWith(accessToken, "/mcp", MACHINE)).toBe(401);
  });

  test.each([
    ["host", `${MACHINE}/mcp`, MACHINE, "/mcp"],
    ["path", `${ORIGIN}/m/attic/mcp`, ORIGIN, "/m/attic/mcp"],
  ])("can be a machine's %s, which excludes everything else", async (_, resource, origin, path) => {
    const { access_token: accessToken, resource: named } = await (
      await Client.registered()
    ).signIn(person, { resource });
    expect(named).toBe(resource);
    expect(await statusWith(accessToken, "/mcp")).toBe(401); // before it was seen where it is good, too
    // 404: let in, and told that this person has no such machine.
    expect(await statusWith(accessToken, path, origin)).toBe(404);
    expect(await statusWith(accessToken, "/mcp")).toBe(401);
    expect(await statusWith(accessToken, "/api/me")).toBe(401);
    expect(await statusWith(accessToken, "/m/cellar/mcp")).toBe(401);
    expect(await statusWith(accessToken, "/mcp", "http://cellar.localhost:8787")).toBe(401);
  });

  test("cannot change when a code is redeemed or a token refreshed", async () => {
    const client = await Client.registered();
    const code = (await client.consent(person)).searchParams.get("code") ?? "";
    expect(await errorOf(await client.redeem(code, { resource: `${MACHINE}/mcp` }))).toBe("invalid_target");
    const tokens: Tokens = await (await client.redeem(code, { resource: `${ORIGIN}/mcp` })).json();
    const refreshed = await client.refresh(tokens.refresh_token, { resource: `${MACHINE}/mcp` });
    expect(await errorOf(refreshed)).toBe("invalid_target");
  });

  test.each([
    "https://elsewhere.test/mcp",
    `${ORIGIN}/other`,
    "http://evil.127.0.0.1:8787/mcp",
    "http://evil.test:8787/mcp",
    "http://evil.test:8787/m/attic--abcdefgh/mcp",
    "https://127.0.0.1:8787/mcp",
  ])("is never %s", async (resource) => {
    const client = await Client.registered();
    const back = await backIn(await person.get(client.authorizePath({ resource })));
    expect(back.searchParams.get("error")).toBe("invalid_target");
  });

  test("is the endpoint if a client names only the origin, or nothing", async () => {
    for (const resource of [ORIGIN, `${ORIGIN}/`]) {
      const tokens = await (await Client.registered()).signIn(person, { resource });
      expect(await statusWith(tokens.access_token, "/api/me")).toBe(200);
    }
  });
});

describe("a refresh token", () => {
  test("is exchanged for a new one, and keeps working until the new one is used", async () => {
    const client = await Client.registered();
    const first = await client.signIn(person);
    const second: Tokens = await (await client.refresh(first.refresh_token)).json();
    expect(second.refresh_token).not.toBe(first.refresh_token);
    expect(await statusWith(second.access_token)).toBe(200);
    const again = await client.refresh(first.refresh_token, { scope: "mcp:tools" });
    expect(again.status).toBe(200);
    const third: Tokens = await again.json();
    const fourth: Tokens = await (await client.refresh(third.refresh_token)).json();
    expect(fourth.error).toBeUndefined();
    expect(await errorOf(await client.refresh(first.refresh_token, { scope: "mcp:tools " }))).toBe("invalid_grant");
  });

  test("gives the same answer to two processes that refresh at once, so that neither is signed out", async () => {
    const client = await Client.registered();
    const { refresh_token: refreshToken } = await client.signIn(person);
    const answers = await Promise.all([1, 2, 3].map(async () => (await client.refresh(refreshToken)).json<Tokens>()));
    expect(new Set(answers.map((answer) => answer.refresh_token)).size).toBe(1);
    const next = await client.refresh(answers[0]?.refresh_token ?? "");
    expect(next.status).toBe(200);
  });

  test("is useless to another client", async () => {
    const { refresh_token: refreshToken } = await (await Client.registered()).signIn(person);
    expect(await errorOf(await (await Client.registered()).refresh(refreshToken))).toBe("invalid_grant");
  });
});

describe("scopes", () => {
  test("that are missing are named in a 403", async () => {
    const { access_token: accessToken } = await (await Client.registered()).signIn(person);
    const response = await ask("/api/machines", { method: "POST", body: "{}", ...bearer(accessToken) });
    expect(response.status).toBe(403);
    const challenge = response.headers.get("www-authenticate");
    expect(challenge).toContain('error="insufficient_scope"');
    expect(challenge).toContain('scope="operator:admin"');
    expect(challenge).toContain("resource_metadata=");
  });

  test("for reading permit no action, neither with a tool nor at a machine's own address", async () => {
    const read = await (await Client.registered()).signIn(person, { scope: "operator:read" });
    const body = JSON.stringify({
      jsonrpc: "2.0",
      id: 1,
      method: "tools/call",
      params: { name: "call_tool", arguments: {} },
    });
    const headers = {
      authorization: `Bearer ${read.access_token}`,
      "content-type": "application/json",
      "content-length": String(body.length),
      accept: "application/json, text/event-stream",
    };
    const response = await ask("/mcp", { method: "POST", body, headers });
    expect(response.status).toBe(403);
    expect(response.headers.get("www-authenticate")).toContain('scope="mcp:tools"');
    const { browser, user } = await somebody();
    await user.machine("attic");
    const address = `/m/${await user.slug("attic")}/mcp`;
    const asked = { scope: "operator:read", resource: ORIGIN + address };
    const direct = await (await Client.registered()).signIn(browser, asked);
    expect(await statusWith(direct.access_token, address)).toBe(403);
  });

  test("that are unknown are ignored, and a client that names none gets the baseline", async () => {
    expect((await (await Client.registered()).signIn(person, { scope: "openid offline_access" })).scope).toBe(
      "mcp:tools",
    );
    expect((await (await Client.registered()).signIn(person, { scope: "" })).scope).toBe("mcp:tools");
  });

  test("cannot grow at a refresh", async () => {
    const client = await Client.registered();
    const { refresh_token: refreshToken } = await client.signIn(person);
    const response = await client.refresh(refreshToken, { scope: "operator:admin" });
    expect(await errorOf(response)).toBe("invalid_scope");
  });
});

describe("a clock two minutes off", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  test.each([2 * 60_000, -2 * 60_000])("signs nobody out (%i ms)", async (skewMs) => {
    const client = await Client.registered();
    const tokens = await client.signIn(person);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + skewMs });
    expect(await statusWith(tokens.access_token)).toBe(200);
    const refreshed: Tokens = await (await client.refresh(tokens.refresh_token)).json();
    expect(await statusWith(refreshed.access_token)).toBe(200);
    expect((await person.get("/account")).status).toBe(200);
    vi.useRealTimers();
    expect(await statusWith(refreshed.access_token)).toBe(200);
    expect((await client.refresh(refreshed.refresh_token)).status).toBe(200);
  });

  test("does not extend a token's hour, after which the client refreshes", async () => {
    const client = await Client.registered();
    const tokens = await client.signIn(person);
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 61 * 60_000 });
    expect(await statusWith(tokens.access_token)).toBe(401);
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200);
  });
});
