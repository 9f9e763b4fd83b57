import { beforeAll, describe, expect, test } from "vitest";
import { createExecutionContext } from "cloudflare:test";
import type { Env } from "../../../control-api/src/env.ts";
import { gate } from "../../../control-api/src/gate.ts";
import { Store } from "../../../control-api/src/sign-in/oauth/store/store.ts";
import { env, knock, ORIGIN, TestUser } from "../support/operator.ts";
import {
  ask,
  backIn,
  bearer,
  Client,
  csrfIn,
  errorOf,
  register,
  statusWith,
  token,
  type Tokens,
  Visitor,
} from "./support/visitor.ts";

/** Attacks of RFC 9700, of the MCP specification's security pages, and some that only we invite. */

let person: Visitor;
beforeAll(async () => {
  person = await Visitor.invited();
});

describe("a stolen or replayed code", () => {
  test("works once, and a second use ends what the first one obtained", async () => {
    const client = await Client.registered();
    const code = (await client.consent(person)).searchParams.get("code") ?? "";
    const tokens: Tokens = await (await client.redeem(code)).json();
    expect(await errorOf(await client.redeem(code))).toBe("invalid_grant");
    expect(await statusWith(tokens.access_token)).toBe(401);
    expect(await errorOf(await client.refresh(tokens.refresh_token))).toBe("invalid_grant");
  });

  test("works once even if it is redeemed ten times at the same moment", async () => {
    const client = await Client.registered();
    const code = (await client.consent(person)).searchParams.get("code") ?? "";
    const statuses = await Promise.all(Array.from({ length: 10 }, async () => (await client.redeem(code)).status));
    expect(statuses.filter((status) => status === 200)).toHaveLength(1);
  });

  test("is useless without the verifier, with another client, or with another redirect address", async () => {
    const client = await Client.registered();
    const code = (await client.consent(person)).searchParams.get("code") ?? "";
    const other = await Client.registered();
    expect(await errorOf(await client.redeem(code, { code_verifier: "x".repeat(43) }))).toBe("invalid_grant");
    expect(await errorOf(await client.redeem(code, { code_verifier: "" }))).toMatch(/^invalid_/);
    expect(await errorOf(await client.redeem(code, { client_id: other.id }))).toBe("invalid_grant");
    expect(await errorOf(await client.redeem(code, { redirect_uri: "https://client.test/other" }))).toBe(
      "invalid_grant",
    );
    expect((await client.redeem(code)).status).toBe(200);
  });
});

describe("PKCE", () => {
  test.each([
    ["left out", { code_challenge: undefined, code_challenge_method: undefined }],
    ["downgraded to plain", { code_challenge_method: "plain" }],
    ["without its method, which would mean plain", { code_challenge_method: undefined }],
  ])("cannot be %s", async (_, more) => {
    const client = await Client.registered();
    const back = await backIn(await person.get(client.authorizePath(more)));
    expect(back.searchParams.get("error")).toBe("invalid_request");
    expect(back.searchParams.get("iss")).toBe(ORIGIN);
  });

  test("cannot be omitted by a client with a secret either", async () => {
    const client = await Client.registered({ token_endpoint_auth_method: "client_secret_basic" });
    const response = await person.get(client.authorizePath({ code_challenge: "", code_challenge_method: "" }));
    expect((await backIn(response)).searchParams.get("error")).toBe("invalid_request");
  });
});

describe("a redirect address", () => {
  test("of Cursor and of Claude can be registered", async () => {
    const cursor = ["cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"]; // prettier-ignore
    const response = await register({ client_name: "Cursor", redirect_uris: cursor });
    expect(response.status).toBe(201);
    const made: { redirect_uris: string[]; client_id: string } = await response.json();
    expect(made.redirect_uris).toEqual(cursor);
    const client = new Client(made.client_id, cursor[0] ?? "");
    const answer = await client.consent(person);
    expect(answer.href).toMatch(/^cursor:\/\/anysphere\.cursor-mcp\/oauth\/callback\?code=/);
    const claude = await register({
      client_name: "Claude",
      redirect_uris: ["https://claude.ai/api/mcp/auth_callback"],
    });
    expect(claude.status).toBe(201);
  });

  test.each([
    "http://example.com/callback",
    "javascript:alert(1)",
    "data:text/html,hello",
    "file:///etc/passwd",
    "com.example.app:/callback",
    "cursor://somebody.else/callback",
    "https://user:password@example.com/callback",
    "https://@example.com/callback",
    "https://example.com/callback#fragment",
    "not an address",
    "//example.com/callback",
    // Each would be read as something else in the consent page's Content-Security-Policy.
    "https://*/callback",
    "https://a;trusted-types;b/callback",
    "https://a,b/callback",
    "https://'none'/callback",
  ])("%s cannot be registered, alone or beside a good one, and the error's code says so", async (uri) => {
    for (const redirect_uris of [[uri], ["https://client.test/callback", uri]]) {
      const refused = await register({ redirect_uris });
      expect([refused.status, await refused.json()]).toMatchObject([400, { error: "invalid_redirect_uri" }]);
    }
  });

  test.each([[undefined], [[]], [[5]], ["https://client.test/callback"]])(
    "%j in place of redirect addresses is invalid metadata",
    async (redirect_uris) => {
      const refused = await register({ redirect_uris });
      expect([refused.status, await refused.json()]).toMatchObject([400, { error: "invalid_client_metadata" }]);
    },
  );

  test.each([
    "https://client.test/callback/../other",
    "https://client.test/callback?more=1",
    "https://client.test/CALLBACK",
    "https://client.test.evil.test/callback",
    "https://client.test@evil.test/callback",
    "https://evil.test/callback",
    "http://client.test/callback",
  ])("is never used unless it equals the registered one: %s", async (uri) => {
    const client = await Client.registered();
    const response = await person.get(client.authorizePath({ redirect_uri: uri }));
    expect(response.status).toBe(400);
    expect(response.headers.get("location")).toBeNull();
  });

  test("may have any port on the person's computer, but nothing else may differ", async () => {
    const client = await Client.registered({}, "http://127.0.0.1/callback");
    expect((await person.get(client.authorizePath({ redirect_uri: "http://127.0.0.1:43210/callback" }))).status).toBe(
      200,
    );
    expect((await person.get(client.authorizePath({ redirect_uri: "http://127.0.0.1:43210/other" }))).status).toBe(400);
    expect((await person.get(client.authorizePath({ redirect_uri: "http://192.168.0.1/callback" }))).status).toBe(400);
  });

  test("of a request that is longer than servers take is not used", async () => {
    const client = await Client.registered();
    const [long, longer] = [7_000, 8_000].map((length) => client.authorizePath({ state: "s".repeat(length) }));
    expect((await person.get(long ?? "")).status).toBe(200);
    expect(await (await person.get(longer ?? "")).text()).toContain("The request is too long.");
  });

  test("of an unknown client is not used", async () => {
    const response = await person.get(new Client("nobody", "https://client.test/callback").authorizePath());
    expect(response.status).toBe(400);
    expect(response.headers.get("location")).toBeNull();
  });

  test("of an app that anyone may have registered gets nobody who has not decided anything", async () => {
    const client = await Client.registered({ client_name: "Bait" }, "https://evil.test/looks-like-operator");
    const wrong = [
      { response_type: "token" },
      { code_challenge: undefined, code_challenge_method: undefined },
      { resource: "https://elsewhere.test/mcp" },
    ];
    for (const more of wrong)
      for (const visitor of [person, new Visitor()]) {
        const back = await backIn(await visitor.get(client.authorizePath(more)));
        expect([back.hostname, back.searchParams.get("state")]).toEqual(["evil.test", "the-state"]);
      }
  });

  test("after signing in is always one of our own pages", async () => {
    for (const next of [
      "https://evil.test/",
      "//evil.test/",
      "/\\evil.test",
      "javascript:alert(1)",
      "/%0d%0aevil",
      "/oauth/token",
    ]) {
      const visitor = await Visitor.invited();
      const response = await visitor.get(`/sign-in?${new URLSearchParams({ next })}`);
      expect(response.headers.get("location")).toBe("/");
    }
  });
});

describe("another site", () => {
  test("cannot submit the consent page", async () => {
    const client = await Client.registered();
    const path = client.authorizePath();
    const csrf = await person.csrf(path);
    const isRefused = async (form: Record<string, string>, headers: Record<string, string>) =>
      (await person.post(path, form, headers)).headers.get("location") === null;
    expect(await isRefused({ csrf, decision: "allow" }, { "sec-fetch-site": "cross-site" })).toBe(true);
    expect(await isRefused({ csrf, decision: "allow" }, { "sec-fetch-site": "same-site" })).toBe(true);
    expect(await isRefused({ decision: "allow" }, {})).toBe(true);
    const other = await Visitor.invited();
    expect(await isRefused({ csrf: await other.csrf(path), decision: "allow" }, {})).toBe(true);
    expect(await isRefused({ csrf, decision: "allow" }, {})).toBe(false);
  });

  test("cannot sign a browser in or out, claim the account, enrol, pair, or change the account", async () => {
    const csrf = await person.csrf("/account");
    const headers = { "sec-fetch-site": "cross-site", origin: "https://evil.test" };
    for (const path of [
      "/sign-in",
      "/sign-out",
      "/claim",
      "/invite",
      "/pair",
      "/account/password",
      "/account/invitations",
    ]) {
      const response = await person.post(path, { csrf, name: "x", password: "y", code: "z" }, headers);
      expect([path, response.status]).toEqual([path, 403]);
    }
    expect((await person.get("/account")).status).toBe(200);
  });

  test("that hides where it comes from is recognized by its origin", async () => {
    const form = new URLSearchParams({ name: "x", password: "y" });
    const post = (headers: Record<string, string>) => ask("/sign-in", { method: "POST", body: form, headers });
    expect((await post({})).status).toBe(403);
    expect((await post({ origin: "null" })).status).toBe(403);
    expect((await post({ origin: "https://evil.test" })).status).toBe(403);
    expect((await post({ origin: ORIGIN })).status).toBe(401);
  });

  test("cannot frame or read a page, and does not see where its visitor came from", async () => {
    const client = await Client.registered();
    for (const path of [
      "/sign-in",
      "/account",
      "/notifications",
      "/pair",
      "/invite",
      client.authorizePath(),
      "/oauth/authorize?client_id=no",
    ]) {
      const response = await person.get(path);
      const policy = response.headers.get("content-security-policy") ?? (response.status === 303 ? "moved" : "none");
      if (policy === "moved") continue;
      const sendsTo = path === client.authorizePath() ? ` ${new URL(client.redirectUri).origin}` : "";
      expect(policy.split("; ")).toEqual([
        "default-src 'none'",
        ...["style", "script", "img", "connect", "manifest", "worker"].map((what) => `${what}-src 'self'`),
        `form-action 'self'${sendsTo}`,
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "require-trusted-types-for 'script'",
        `trusted-types operator${path === "/notifications" ? " operator-push" : ""}`,
      ]);
      expect(response.headers.get("x-frame-options")).toBe("DENY");
      expect(response.headers.get("referrer-policy")).toBe("no-referrer");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      // Not on the way to an app: it may have opened the page as a window of its own.
      const isOnTheWay = !["/account", "/notifications"].includes(path);
      expect(response.headers.get("cross-origin-opener-policy")).toBe(isOnTheWay ? null : "same-origin");
      expect(response.headers.get("cache-control")).toBe("no-store");
      expect(response.headers.get("vary")).toBe("accept");
      expect(response.headers.get("access-control-allow-origin")).toBeNull();
      const page = await response.text();
      expect(page).not.toMatch(/<script(?![^>]*src=)|<style|\sstyle=|\son[a-z]+=/);
    }
  });
});

test("a client's text stays text on the page, whatever it contains", async () => {
  const client = await Client.registered({ client_name: `<script>alert(1)</script>"'\u202E` });
  const page = await (await person.get(client.authorizePath({ state: '"><img src=x>' }))).text();
  expect(page).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
  expect(page).not.toContain("<script>alert");
  expect(page).not.toContain("<img");
  expect(page).not.toContain("\u202E");
});

test("a client's name stays within its box, and a token's label on its line", async () => {
  const piled = "\u0301".repeat(60);
  for (const [name, shown] of [
    [`Claude${piled}`, `Claude${"\u0301".repeat(4)}`],
    ["Claude in? It was checked. Let it", "Claude in? It was checked. Let it"],
    ["\u3164\u2800\u200B", "An app without a name"],
    ["Claude\n\nCode", "Claude Code"],
  ] as const) {
    const client = await Client.registered({ client_name: name });
    const page = await (await person.get(client.authorizePath())).text();
    expect(page).toContain(`Let <bdi class="named">${shown}</bdi> in?`);
    const body = new URLSearchParams({ client_id: client.id, scope: "mcp:tools" });
    const begun = await ask("/oauth/device_authorization", { method: "POST", body });
    const { user_code: code }: { user_code: string } = await begun.json();
    const pairing = await (await person.get(`/pair?code=${code}`)).text();
    expect(pairing).toContain(`<bdi class="named">${shown}</bdi>`);
  }
  const csrf = await person.csrf("/account");
  const label = `a\u202Eb${piled}`.slice(0, 60);
  expect((await person.post("/account/tokens", { csrf, label, may: "read" })).status).toBe(200);
  const account = await (await person.get("/account")).text();
  expect(account).toContain(String.raw`<bdi>a<span class="esc">\u{202e}</span>b`);
  expect(account).not.toMatch(/\u202E|\p{M}{5}/u);
});

test("the consent page says that whoever may do anything may also look", async () => {
  const client = await Client.registered();
  for (const scope of ["operator:admin", "operator:tokens", "operator:read"])
    expect(await (await person.get(client.authorizePath({ scope }))).text()).toContain("See your machines");
});

test("the consent page shows who asks, for what, and where the answer goes", async () => {
  const client = await Client.registered({ client_name: "Robot" }, "https://robot.test/cb");
  const page = await (await person.get(client.authorizePath({ scope: "mcp:tools operator:admin" }))).text();
  expect(page).toContain('Let <bdi class="named">Robot</bdi> in?');
  expect(page).toContain("robot.test");
  expect(page).toContain("Use every tool of your machines");
  expect(page).toContain("Add, rename and remove machines");
  expect(page).toContain("nobody has checked the name");
});

test("a resource is named as it is, without a part or credentials", async () => {
  const client = await Client.registered();
  const statusFor = async (resource: string) => (await person.get(client.authorizePath({ resource }))).status;
  expect(await statusFor(`${ORIGIN}/mcp`)).toBe(200);
  const spelledWith = (credentials: string): string => `${ORIGIN.replace("//", `//${credentials}@`)}/mcp`;
  for (const other of [`${ORIGIN}/mcp#part`, spelledWith(":secret"), spelledWith("somebody")])
    expect(await statusFor(other), other).toBe(400);
});

test.each(["/oauth/token", "/oauth/device_authorization"])(
  "%s says that it is asked with POST (RFC 9110 section 15.5.6)",
  async (path) => {
    const { status, headers } = await ask(`${path}?grant_type=authorization_code`);
    expect([status, headers.get("allow")]).toEqual([405, "POST, OPTIONS"]);
  },
);

describe("a mix-up", () => {
  test("can be detected by the client, because every answer names the issuer, including errors", async () => {
    const client = await Client.registered();
    const back = await backIn(await person.get(client.authorizePath({ response_type: "token" })));
    expect(back.searchParams.get("iss")).toBe(ORIGIN);
    expect(back.searchParams.get("error")).toBe("unsupported_response_type");
  });

  test("of parameters is refused, because no parameter may occur twice", async () => {
    const client = await Client.registered();
    const path = client.authorizePath();
    expect((await person.get(`${path}&redirect_uri=https%3A%2F%2Fevil.test%2F`)).status).toBe(400);
    expect((await person.get(`${path}&resource=${encodeURIComponent(`${ORIGIN}/m/attic/mcp`)}`)).status).toBe(400);
    const body = "grant_type=authorization_code&grant_type=refresh_token&code=a:b:c&client_id=x";
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    expect(await errorOf(await ask("/oauth/token", { method: "POST", body, headers }))).toBe("invalid_request");
  });

  test("is not made out of a parameter without a value, which counts as left out (RFC 6749 section 3.1 and 3.2)", async () => {
    const client = await Client.registered();
    expect((await person.get(client.authorizePath({ resource: "", scope: "" }))).status).toBe(200);
    expect((await person.get(client.authorizePath({ code_challenge_method: "" }))).status).toBe(400);
    expect((await person.get(`${client.authorizePath({ resource: "" })}&resource=${ORIGIN}/mcp`)).status).toBe(400);
    const code = (await client.consent(person)).searchParams.get("code") ?? "";
    const redeemed = await client.redeem(code, { resource: "", client_secret: "" });
    expect(await redeemed.json()).toMatchObject({ resource: `${ORIGIN}/mcp` });
  });
});

describe("a token", () => {
  test("in a URL or a form is ignored", async () => {
    const { access_token: good } = await (await Client.registered()).signIn(person);
    for (const name of ["token", "access_token", "bearer_token"])
      expect((await ask(`/api/me?${name}=${encodeURIComponent(good)}`)).status).toBe(401);
    const body = new URLSearchParams({ access_token: good });
    expect((await ask("/mcp", { method: "POST", body })).status).toBe(401);
  });

  test.each([
    "Basic b3duZXI6eA==",
    "Bearer",
    "Bearer ",
    "Bearer a b",
    "bearer owner:x:y",
    "Bearer owner::",
    `Bearer ${"x".repeat(5_000)}`,
  ])("in a wrong form is refused: %s", async (authorization) => {
    expect((await ask("/mcp", { headers: { authorization } })).status).toBe(401);
  });

  test("counts whatever the letter case of its scheme is (RFC 9110 section 11.1)", async () => {
    const { access_token: good } = await (await Client.registered()).signIn(person);
    for (const scheme of ["bearer", "BEARER", "bEaReR"])
      expect((await ask("/api/me", { headers: { authorization: `${scheme} ${good}` } })).status).toBe(200);
  });

  test("if wrong is refused from this computer too", async () => {
    const response = await knock(`${ORIGIN}/api/me`, { headers: { authorization: "Bearer wrong" } });
    expect(response.status).toBe(401);
  });

  test("is stored only as a hash, and nothing in the store opens anything", async () => {
    const client = await Client.registered();
    const tokens = await client.signIn(person);
    const store = new Store(env);
    const { keys } = await store.list();
    expect(keys.length).toBeGreaterThan(2);
    for (const { name } of keys) {
      const kept = `${name} ${String(await store.get(name))}`;
      for (const secret of [tokens.access_token, tokens.refresh_token])
        expect(kept).not.toContain(secret.split(":")[2] ?? "?");
    }
  });
});

type Method = (...args: unknown[]) => Promise<unknown>;

/** The store with each of its methods replaced. */
function storeThat(does: (method: Method) => Method): Env["OAUTH_STORE"] {
  const getByName = (shard: string): object => {
    const stub = env.OAUTH_STORE.getByName(shard) as unknown as Record<string, Method>;
    return new Proxy({}, { get: (_, name: string) => does((...args) => (stub[name] as Method)(...args)) });
  };
  return { getByName } as unknown as Env["OAUTH_STORE"];
}

describe("the store of tokens", () => {
  test("answers 503 with a time to retry when it fails, not a 401 that would make clients discard their tokens", async () => {
    const tokens = await (await Client.registered()).signIn(person);
    const down = () => Promise.reject(new Error("the store is down"));
    const broken = storeThat(() => down);
    const init = bearer(tokens.access_token);
    const at = (path: string, store: Env["OAUTH_STORE"], more: RequestInit = init) =>
      gate.fetch(
        new Request(`${ORIGIN}${path}`, more),
        { ...env, LOOPBACK_OWNER: "", OAUTH_STORE: store },
        createExecutionContext(),
      );
    const response = await at("/api/me", broken);
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).not.toBeNull();
    expect(response.headers.get("www-authenticate")).toBeNull();
    const body = new URLSearchParams({
      grant_type: "refresh_token",
      refresh_token: tokens.refresh_token,
      client_id: "x",
    });
    const refreshed = await at("/oauth/token", broken, { method: "POST", body });
    expect(refreshed.status).toBe(503);
    expect(await errorOf(refreshed)).toBe("temporarily_unavailable");
    expect(await statusWith(tokens.access_token)).toBe(200);
  });

  test("signs nobody out when it is slow", async () => {
    const tokens = await (await Client.registered()).signIn(person);
    const slow = storeThat((method) => async (...args) => {
      await scheduler.wait(1_500);
      return method(...args);
    });
    const bindings = { ...env, LOOPBACK_OWNER: "", OAUTH_STORE: slow };
    const request = new Request(`${ORIGIN}/api/me`, bearer(tokens.access_token));
    expect((await gate.fetch(request, bindings, createExecutionContext())).status).toBe(200);
  });
});

describe("a request from elsewhere", () => {
  test.each(["evil.test", "127.0.0.1.evil.test", "localhost.evil.test", "operator.internal"])(
    "is refused under a foreign host name that resolves to this computer: %s",
    async (host) => {
      expect((await knock(`http://${host}:8787/mcp`, { method: "POST", body: "{}" })).status).toBe(400);
      expect((await knock(`http://${host}:8787/sign-in`)).status).toBe(400);
    },
  );

  test("needs a token even if it comes from a page open on this computer", async () => {
    for (const origin of ["https://evil.test", "null", "http://127.0.0.1.evil.test"])
      expect((await knock(`${ORIGIN}/mcp`, { method: "POST", body: "{}", headers: { origin } })).status).toBe(403);
  });

  test.each(["x-forwarded-for", "cf-connecting-ip", "forwarded", "via", "x-real-ip"])(
    "needs a sign-in if it came through a tunnel (%s)",
    async (name) => {
      expect((await knock(`${ORIGIN}/api/me`, { headers: { [name]: "203.0.113.7" } })).status).toBe(401);
    },
  );

  test("may come from a page of any site, as an MCP client with a token and without cookies", async () => {
    const { access_token: good } = await (await Client.registered()).signIn(person);
    const headers = { authorization: `Bearer ${good}`, origin: "https://app.test" };
    const response = await ask("/m/attic/mcp", { headers });
    expect(response.headers.get("access-control-allow-origin")).toBe("https://app.test");
    expect(response.headers.get("access-control-allow-credentials")).toBeNull();
    expect(response.headers.get("access-control-expose-headers")).toContain("www-authenticate");
    const cookie = Array.from(person.cookies, ([name, value]) => `${name}=${value}`).join("; ");
    expect((await ask("/mcp", { method: "POST", body: "{}", headers: { cookie } })).status).toBe(401);
    expect((await ask("/api/machines", { headers: { cookie } })).status).toBe(401);
  });
});

test("Operator's own headers in a client's request do not reach a machine's script", async () => {
  const user = new TestUser();
  await user.machine("attic");
  const headers = {
    "x-operator-caller": "owner",
    "x-operator-machine": "cellar",
    "x-operator-secret": "gate-secret",
    cookie: "operator-8787=secret",
  };
  await user.fetch(`/m/${await user.slug("attic")}/mcp`, { method: "POST", body: "{}", headers });
  const [reached] = (await user.reached("attic")).filter(({ path }) => path === "/mcp");
  expect(reached?.headers["x-operator-caller"]).toBe(user.id);
  expect(reached?.headers["x-operator-machine"]).toBe(await user.slug("attic"));
});

test("another user's machine is refused exactly like one that does not exist", async () => {
  const owner = new TestUser();
  await owner.machine("attic");
  const slug = await owner.slug("attic");
  const other = await Visitor.invited();
  const at = async (name: string): Promise<string> => {
    const tokens = await (await Client.registered()).signIn(other, { resource: `${ORIGIN}/m/${name}/mcp` });
    const response = await ask(`/m/${name}/mcp`, { method: "POST", body: "{}", ...bearer(tokens.access_token) });
    // The two answers may fall on either side of a second.
    const headers = [...response.headers].filter(([header]) => header !== "date");
    return `${response.status} ${JSON.stringify(headers)} ${await response.text()}`.replaceAll(name, "NAME");
  };
  expect(await at(slug)).toBe(await at(`nosuch--${slug.split("--")[1]}`));
});

test("a form is read only from the body and up to a size limit", async () => {
  const huge = new URLSearchParams({ grant_type: "refresh_token", refresh_token: "x".repeat(100_000), client_id: "x" });
  expect(await errorOf(await ask("/oauth/token", { method: "POST", body: huge }))).toBe("invalid_request");
  expect(await errorOf(await ask("/oauth/token?grant_type=refresh_token", { method: "POST", body: "{}" }))).toBe(
    "invalid_request",
  );
  expect((await ask("/oauth/token")).status).toBe(405);
  expect(
    await errorOf(await token({ grant_type: "password", username: "owner", password: "x", client_id: "y" })),
  ).toMatch(/invalid_client|unsupported_grant_type/);
});

test("a sign-in page keeps the original request through the sign-in, and shows no secret", async () => {
  const visitor = await Visitor.invited();
  const fresh = new Visitor();
  const client = await Client.registered();
  const moved = await fresh.get(client.authorizePath());
  expect(moved.status).toBe(303);
  const page = await (await fresh.get(moved.headers.get("location") ?? "")).text();
  expect(page).toContain('<bdi class="named">A client</bdi> wants to use your machines');
  const response = await fresh.post("/sign-in", {
    name: visitor.name,
    password: "correct horse battery",
    next: client.authorizePath(),
  });
  expect(response.headers.get("location")).toBe(client.authorizePath());
  expect(csrfIn(await (await fresh.get(client.authorizePath())).text())).not.toBe("");
});
