import { createExecutionContext, SELF } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { gate } from "../../control-api/src/gate.ts";
import { codeOf, env, knock, ORIGIN, TestUser } from "./support/operator.ts";

/** Asks for something that only a signed-in caller gets; whether it was given. */
async function letsIn(url: string, headers: Record<string, string> = {}): Promise<boolean> {
  const { status } = await knock(url, { headers });
  expect([200, 400, 401, 403]).toContain(status);
  return status === 200;
}

describe("the WebSocket with which a doctor learns whether any comes through", () => {
  it("greets everybody and closes, while a plain request at its address is answered as before", async () => {
    const response = await knock(`${ORIGIN}/api/health`, { headers: { upgrade: "websocket" } });
    const { webSocket: socket } = response;
    expect([response.status, socket === null]).toEqual([101, false]);
    const heard: unknown[] = [];
    const closed = new Promise<number>((resolve) => {
      socket?.addEventListener("message", ({ data }) => heard.push(data));
      socket?.addEventListener("close", ({ code }) => resolve(code));
    });
    socket?.accept();
    expect([await closed, heard]).toEqual([1000, ["operator"]]);
    expect(await (await knock(`${ORIGIN}/api/health`)).json()).toMatchObject({ ok: true });
  });
});

describe("a request without TLS, to an Operator that has it", () => {
  const SECURE = { ...env, ORIGIN: "https://operator.example.com", DOMAIN: "machines.example.com" };
  const at = (url: string, headers: Record<string, string> = {}): Promise<Response> =>
    gate.fetch(new Request(url, { headers }), SECURE, createExecutionContext());

  it.each([
    "operator.example.com/api/me",
    "operator.example.com/mcp",
    "operator.example.com/m/attic/mcp",
    "operator.example.com/.well-known/oauth-authorization-server",
    "attic.machines.example.com/mcp",
  ])("is refused, with a token as well: %s", async (address) => {
    for (const headers of [{}, { authorization: "Bearer x" }]) {
      const refused = await at(`http://${address}`, headers);
      expect(refused.status).toBe(400);
      expect(await refused.text()).toContain("over TLS only, at https://operator.example.com.");
      expect((await at(`https://${address}`, headers)).status).not.toBe(400);
    }
  });

  it("gets no form for a password, but a page with the address", async () => {
    const headers = { accept: "text/html" };
    const refused = await at("http://operator.example.com/sign-in", headers);
    expect(refused.status).toBe(400);
    const page = await refused.text();
    expect(page).toContain('href="https://operator.example.com"');
    expect(page).not.toContain("<form");
    expect(await (await at("https://operator.example.com/sign-in", headers)).text()).toContain("<form");
  });
});

describe("a caller without a token", () => {
  it.each(["http://127.0.0.1:8787", "http://localhost:8787", "http://[::1]:8787"])(
    "is accepted from this computer, at %s",
    async (origin) => {
      expect(await letsIn(`${origin}/api/me`)).toBe(true);
    },
  );

  it("is anonymous if there is no loopback owner", async () => {
    // An empty binding, and none at all: a deployment on Cloudflare has no such variable.
    const { LOOPBACK_OWNER: _, ...deployed } = env;
    for (const bindings of [{ ...deployed, LOOPBACK_OWNER: "" }, deployed]) {
      const response = await gate.fetch(new Request(`${ORIGIN}/api/me`), bindings, createExecutionContext());
      expect(response.status, JSON.stringify(Object.keys(bindings))).toBe(401);
    }
  });

  it.each([
    ["x-forwarded-for", "10.0.0.1"],
    ["x-forwarded-host", "operator.example.com"],
    ["x-real-ip", "10.0.0.1"],
    ["forwarded", "for=10.0.0.1"],
    ["cf-connecting-ip", "10.0.0.1"],
    ["cf-ray", "abc"],
    ["via", "1.1 tunnel"],
  ])("is not treated as local when a tunnel forwards the request: %s", async (name, value) => {
    expect(await letsIn(`${ORIGIN}/api/me`, { [name]: value })).toBe(false);
  });

  it.each([
    "https://evil.example",
    "http://127.0.0.1.evil.example",
    "http://localhost.evil.example",
    "null",
    "file://",
    "chrome-extension://abc",
  ])("is refused from a web page of another origin: %s", async (origin) => {
    expect(await letsIn(`${ORIGIN}/api/me`, { origin })).toBe(false);
    const response = await knock(`${ORIGIN}/mcp`, {
      method: "POST",
      headers: { origin, "content-type": "application/json" },
      body: "{}",
    });
    expect([401, 403]).toContain(response.status);
  });

  it.each(["http://localhost:3000", "http://127.0.0.1:6274", "http://[::1]:1"])(
    "is accepted from a page on this computer: %s",
    async (origin) => {
      expect(await letsIn(`${ORIGIN}/api/me`, { origin })).toBe(true);
    },
  );

  it("is refused with a wrong token, local or not", async () => {
    for (const authorization of [
      "Bearer wrong",
      "Bearer opr_owner_wrong",
      `Bearer opr_owner_${"A".repeat(43)}`,
      "Basic b3duZXI6",
      "Bearer ",
      "",
    ])
      expect(await letsIn(`${ORIGIN}/api/me`, { authorization }), authorization).toBe(false);
  });

  it("is refused with a token in the URL", async () => {
    expect((await knock(`${ORIGIN}/api/me?token=opr_owner_x`, {}, { LOOPBACK_OWNER: "" })).status).toBe(401);
  });
});

describe("a host", () => {
  it.each([
    "evil.example",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "operator.example.com",
    "0.0.0.0",
    "127.0.0.2",
    "two.labels.localhost",
  ])("that is not this Operator's is refused for every path: %s", async (host) => {
    for (const path of ["/api/health", "/api/me", "/mcp", "/"]) {
      const response = await knock(`http://${host}:8787${path}`);
      expect([path, response.status, await codeOf(response)]).toEqual([path, 400, "invalid_request"]);
    }
    // A person who mistyped the address learns the right one.
    const page = await knock(`http://${host}:8787/`, { headers: { accept: "text/html" } });
    expect([page.status, await page.text()]).toEqual([400, expect.stringContaining(`href="${ORIGIN}"`)]);
  });

  it.each([
    ["evil.example", 401],
    ["127.0.0.1.evil.example", 401],
    ["127.0.0.2", 401],
    // Every name under localhost is this computer (RFC 6761), so its owner is signed in. Machines have no other path.
    ["two.labels.localhost", 404],
  ])("that is not this Operator's cannot reach a machine by its path: %s", async (host, status) => {
    expect((await knock(`http://${host}:8787/m/attic/other`)).status).toBe(status);
  });
});

describe("a machine's own URL", () => {
  async function two(): Promise<TestUser> {
    const alice = new TestUser();
    for (const name of ["attic", "cellar"]) await alice.machine(name);
    return alice;
  }

  it("forwards a request to that machine with its method, query, MCP headers and body unchanged", async () => {
    const alice = await two();
    const slug = await alice.slug("cellar");
    const body = '{"jsonrpc":"2.0",  "id":12345678901234567890,"method":"x"}';
    const headers = { "content-type": "application/json", "mcp-session-id": "s1", "last-event-id": "e9", "x-new": "1" };
    for (const url of [`http://${slug}.localhost:8787/mcp?a=%2F`, `${ORIGIN}/m/${slug}/mcp?a=%2F`]) {
      const response = await knock(url, { method: "POST", headers, body }, { LOOPBACK_OWNER: alice.id });
      expect(await response.text()).toBe(`${slug} POST /mcp`);
      expect((await alice.reached("cellar")).at(-1)).toMatchObject({
        method: "POST",
        path: "/mcp?a=%2F",
        headers,
        body,
      });
    }
    expect(await alice.reached("attic")).toEqual([]);
  });

  it("returns the machine's status and headers", async () => {
    const alice = await two();
    await alice.script("attic", {
      answers: { "DELETE /mcp": { status: 405, headers: { "mcp-session-id": "s2" }, body: "no" } },
    });
    const response = await knock(
      `${ORIGIN}/m/${await alice.slug("attic")}/mcp`,
      { method: "DELETE" },
      { LOOPBACK_OWNER: alice.id },
    );
    expect([response.status, response.headers.get("mcp-session-id"), await response.text()]).toEqual([405, "s2", "no"]);
  });

  it("sends the dispatch Worker the secret, the machine and the caller, whatever the client claims", async () => {
    const [alice, bob] = [await two(), await two()];
    const forged = {
      "x-operator-secret": "forged",
      "x-operator-machine": await bob.slug("attic"),
      "x-operator-caller": bob.id,
    };
    await knock(`${ORIGIN}/m/${await alice.slug("attic")}/mcp`, { headers: forged }, { LOOPBACK_OWNER: alice.id });
    expect((await alice.reached("attic")).at(-1)?.headers).toMatchObject({
      "x-operator-secret": "gate-secret",
      "x-operator-machine": await alice.slug("attic"),
      "x-operator-caller": alice.id,
    });
    expect(await bob.reached("attic")).toEqual([]);
  });

  it("of another user is refused exactly like one that does not exist", async () => {
    const [alice, bob] = [await two(), new TestUser()];
    const slug = await alice.slug("attic");
    const nobodys = `nobody${slug.slice("attic".length)}`;
    const answers = [];
    for (const one of [slug, nobodys]) {
      const response = await knock(
        `${ORIGIN}/m/${one}/mcp`,
        { method: "POST", body: "{}" },
        { LOOPBACK_OWNER: bob.id },
      );
      answers.push([response.status, (await response.text()).replaceAll(one, "slug")]);
    }
    expect(answers[0]?.[0]).toBe(404);
    expect(answers[0]).toEqual(answers[1]);
    // Their script is not asked: a hosted server's could let others in, and any would be started to refuse.
    expect(await alice.reached("attic")).toEqual([]);
  });

  it.each([
    "/",
    "/operator/state",
    "/operator/log",
    "/operator/call",
    "/mcp/",
    "//mcp",
    "/MCP",
    "/mcp/../operator/state",
    "/%6dcp",
  ])("serves nothing at %s, and does not ask the machine", async (path) => {
    const alice = await two();
    const slug = await alice.slug("attic");
    for (const url of [`http://${slug}.localhost:8787${path}`, `${ORIGIN}/m/${slug}${path}`])
      expect((await knock(url, {}, { LOOPBACK_OWNER: alice.id })).status, url).toBe(404);
    expect(await alice.reached("attic")).toEqual([]);
  });

  it.each(["/m/Attic/mcp", "/m/../mcp2", "/m/%61ttic/mcp", "/m/attic%2F..%2Fcellar/mcp", "/m//mcp", "/m/api/mcp"])(
    "is not recognized in %s",
    async (path) => {
      const alice = await two();
      expect((await alice.fetch(path)).status).toBe(404);
    },
  );

  it("requires a sign-in", async () => {
    const alice = await two();
    const slug = await alice.slug("attic");
    for (const url of [`http://${slug}.localhost:8787/mcp`, `${ORIGIN}/m/${slug}/mcp`]) {
      const response = await knock(url, { headers: { authorization: "Bearer wrong" } });
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toMatch(/^Bearer/);
    }
    expect(await alice.reached("attic")).toEqual([]);
  });

  it("is not served at a host that is not Operator's, whatever the path and the token", async () => {
    const alice = await two();
    const before = (await alice.reached("attic")).length;
    const created = await alice.rest("POST", "/api/tokens", { label: "of hers" });
    const { token } = (await created.json()) as { token: string };
    const headers = { authorization: `Bearer ${token}` };
    for (const path of ["/mcp", `/m/${await alice.slug("attic")}/mcp`]) {
      const response = await knock(`http://evil.example${path}`, { headers });
      expect([path, response.status, await codeOf(response)]).toEqual([path, 400, "invalid_request"]);
    }
    expect(await alice.reached("attic")).toHaveLength(before);
  });

  it("ending in /link forwards the machine's own token and no caller", async () => {
    const alice = await two();
    const slug = await alice.slug("attic");
    const headers = { upgrade: "websocket", authorization: "Bearer opl_x", "x-operator-caller": alice.id };
    for (const url of [`http://${slug}.localhost:8787/link`, `${ORIGIN}/m/${slug}/link`]) {
      await knock(url, { headers });
      const reached = (await alice.reached("attic")).at(-1);
      expect(reached).toMatchObject({ path: "/link", headers: { authorization: "Bearer opl_x" } });
      expect(reached?.headers).not.toHaveProperty("x-operator-caller");
    }
  });
});

describe("a page of another origin", () => {
  it("may send a token, and read the answer and the headers that clients need", async () => {
    const headers = { origin: "https://app.example", authorization: "Bearer wrong" };
    for (const path of ["/mcp", "/m/attic/mcp"]) {
      const response = await knock(`${ORIGIN}${path}`, { headers });
      expect(response.headers.get("access-control-allow-origin")).toBe("https://app.example");
      expect(response.headers.get("access-control-expose-headers")).toContain("mcp-session-id");
      expect(response.headers.get("access-control-allow-credentials")).toBeNull();
      // A cache must not give one page the answer that another may read.
      expect(response.headers.get("vary")).toContain("origin");
    }
  });

  it("gets an answer to its preflight, whatever headers a revision of MCP adds", async () => {
    const headers = {
      origin: "https://app.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,mcp-new",
    };
    for (const path of ["/mcp", "/m/attic/mcp"]) {
      const response = await knock(`${ORIGIN}${path}`, { method: "OPTIONS", headers });
      expect(response.status).toBe(204);
      expect(response.headers.get("access-control-allow-headers")).toBe("authorization,mcp-new");
      expect(response.headers.get("access-control-allow-methods")).toContain("DELETE");
    }
  });

  it("gets no such permission for the REST interface", async () => {
    const response = await knock(`${ORIGIN}/api/me`, {
      headers: { origin: "https://app.example", authorization: "Bearer wrong" },
    });
    expect(response.headers.get("access-control-allow-origin")).toBeNull();
  });
});

it("the Worker's entry uses this gate", async () => {
  expect(await (await SELF.fetch(`${ORIGIN}/api/health`)).json()).toMatchObject({ ok: true });
});

describe("a form that is larger than what is read", () => {
  it("is answered with a page for a browser, and with JSON for a program", async () => {
    const body = "x".repeat(1024 * 1024 + 1);
    const headers = { accept: "text/html", "content-type": "application/x-www-form-urlencoded" };
    const page = await knock(`${ORIGIN}/sign-in`, { method: "POST", body, headers });
    expect([page.status, page.headers.get("content-type")]).toEqual([400, expect.stringContaining("text/html")]);
    expect(await page.text()).toContain("more than 1 MB");
    for (const [path, accept] of [
      ["/sign-in", "*/*"],
      ["/api/tokens", "text/html"],
    ])
      expect(
        await codeOf(await knock(`${ORIGIN}${path}`, { method: "POST", body, headers: { accept: accept ?? "" } })),
      ).toBe("invalid_request");
  });
});
