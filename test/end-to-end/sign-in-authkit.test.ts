import { createHash, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HttpServer } from "../scripts/connector/support/http-server.ts";
import { TestOperator } from "./support/operator.ts";

type Person = { sub: string; email: string; name: string };

/** An OAuth server with MCPAuthKit's routes and tokens, whose person says yes to everything. */
class AuthKit {
  readonly asked: string[] = [];
  isDown = false;
  readonly #codes = new Map<string, { challenge: string; person: Person }>();
  readonly #tokens = new Map<string, Person>();
  person: Person = { sub: "sub-1", email: "dana@example.test", name: "Dana" };

  readonly handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? "/", `http://${request.headers.host}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const form = new URLSearchParams(Buffer.concat(chunks).toString());
    const send = (status: number, body: object, headers = {}) =>
      response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
    if (this.isDown) return void send(502, {});
    switch (url.pathname) {
      case "/.well-known/oauth-authorization-server": {
        const { origin } = url;
        const at = (path: string) => `${origin}/oauth/${path}`;
        return void send(200, {
          issuer: origin,
          authorization_endpoint: at("authorize"),
          token_endpoint: at("token"),
          registration_endpoint: at("register"),
          revocation_endpoint: at("revoke"),
          response_types_supported: ["code"],
          code_challenge_methods_supported: ["S256"],
        });
      }
      case "/oauth/register":
        return void send(201, { client_id: "client-1", ...JSON.parse(Buffer.concat(chunks).toString()) });
      case "/oauth/authorize": {
        const code = randomBytes(16).toString("hex");
        this.#codes.set(code, { challenge: url.searchParams.get("code_challenge") ?? "", person: this.person });
        const back = new URL(url.searchParams.get("redirect_uri") ?? "");
        back.searchParams.set("code", code);
        back.searchParams.set("state", url.searchParams.get("state") ?? "");
        return void response.writeHead(302, { location: back.href }).end();
      }
      case "/oauth/token": {
        const known = this.#codes.get(form.get("code") ?? "");
        const challenge = createHash("sha256").update(form.get("code_verifier") ?? "").digest("base64url"); // prettier-ignore
        if (known === undefined || known.challenge !== challenge) return void send(400, { error: "invalid_grant" });
        this.#codes.delete(form.get("code") ?? "");
        return void send(200, { access_token: this.token(known.person), token_type: "bearer", expires_in: 3600 });
      }
      case "/oauth/revoke":
        this.#tokens.delete(form.get("token") ?? "");
        return void send(200, {});
      case "/oauth/userinfo": {
        const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1] ?? "";
        this.asked.push(token);
        const person = this.#tokens.get(token);
        return void (person === undefined ? send(401, { error: "invalid_token" }) : send(200, person));
      }
      default:
        return void send(404, {});
    }
  };

  /** A token as the token endpoint gives it. */
  token(person: Person): string {
    const token = `mat_${randomBytes(24).toString("hex")}`;
    this.#tokens.set(token, person);
    return token;
  }
}

describe("with MCPAuthKit", () => {
  let operator: TestOperator;
  let server: HttpServer;
  const kit = new AuthKit();

  beforeAll(async () => {
    server = await HttpServer.start(kit.handle);
    operator = await TestOperator.start(vars("dana@example.test, sub-2"));
    operator.own(server);
  });
  afterAll(() => operator[Symbol.asyncDispose]());

  function vars(allow: string): Record<string, string> {
    return { LOOPBACK_OWNER: "", AUTHKIT_URL: server.url.origin, AUTHKIT_ALLOW: allow };
  }

  const dana = { sub: "sub-1", email: "Dana@Example.test", name: "Dana" };
  const bob = { sub: "sub-2", email: "bob@example.test", name: "Bob" };
  const eve = { sub: "sub-3", email: "eve@example.test", name: "Eve" };

  async function me(token: string): Promise<{ status: number; user?: string }> {
    const { status, body } = await operator.api("GET", "/api/me", undefined, token);
    return status === 200 ? { status, user: (body as { user: string }).user } : { status };
  }

  test("a client is sent there, and its token identifies a person here", async () => {
    const challenge = (await operator.request("/mcp", { method: "POST" })).headers.get("www-authenticate") ?? "";
    const metadata = /resource_metadata="([^"]+)"/.exec(challenge)?.[1] ?? "";
    const resource = (await (await fetch(metadata)).json()) as { authorization_servers: string[] };
    expect(resource.authorization_servers).toEqual([server.url.origin]);
    expect((await operator.request("/.well-known/oauth-authorization-server")).status).toBe(404);

    const verifier = randomBytes(32).toString("base64url");
    const query = new URLSearchParams({
      response_type: "code",
      client_id: "client-1",
      redirect_uri: "http://127.0.0.1/cb",
      state: "s",
      code_challenge: createHash("sha256").update(verifier).digest("base64url"),
      code_challenge_method: "S256",
    });
    const asked = await fetch(`${server.url.origin}/oauth/authorize?${query}`, { redirect: "manual" });
    const code = new URL(asked.headers.get("location") ?? "").searchParams.get("code") ?? "";
    const body = new URLSearchParams({ grant_type: "authorization_code", code, code_verifier: verifier });
    const tokens = (await (await fetch(`${server.url.origin}/oauth/token`, { method: "POST", body })).json()) as {
      access_token: string;
    };
    expect(await me(tokens.access_token)).toEqual({ status: 200, user: "owner" });
  });

  test("only allowed people get in, by e-mail or subject, each as themselves", async () => {
    expect(await me(kit.token(dana))).toEqual({ status: 200, user: "owner" });
    const { status, user } = await me(kit.token(bob));
    expect([status, user]).toEqual([200, expect.stringMatching(/^a-[0-9a-f]{20}$/)]);
    expect((await me(kit.token(eve))).status).toBe(403);
  });

  test("a valid token is checked once, and only its hash is remembered", async () => {
    const token = kit.token(dana);
    for (let call = 0; call < 5; call += 1) expect((await me(token)).status).toBe(200);
    expect(kit.asked.filter((one) => one === token)).toHaveLength(1);
  });

  test("an invalid token gets a 401, and is checked again after seconds", async () => {
    const token = `mat_${"0".repeat(48)}`;
    expect((await me(token)).status).toBe(401);
    expect((await me(token)).status).toBe(401);
    expect(kit.asked.filter((one) => one === token)).toHaveLength(1);
    await new Promise((resolve) => {
      setTimeout(resolve, 5_200);
    });
    expect((await me(token)).status).toBe(401);
    expect(kit.asked.filter((one) => one === token)).toHaveLength(2);
  });

  test("its outage is distinguished from an invalid token, and does not affect people seen before", async () => {
    const known = kit.token(dana);
    await me(known);
    kit.isDown = true;
    try {
      const response = await operator.request("/api/me", { headers: { authorization: `Bearer ${kit.token(bob)}` } });
      expect(response.status).toBe(503);
      expect(response.headers.get("retry-after")).not.toBeNull();
      expect((await me(known)).status).toBe(200);
    } finally {
      kit.isDown = false;
    }
  });

  test("tokens of other kinds are never sent there", async () => {
    const before = kit.asked.length;
    expect((await me("owner:grant-0123:0123456789abcdef0123")).status).toBe(401);
    expect((await me("opr_owner_0123456789012345678901234567890123456789012")).status).toBe(401);
    expect((await me("mat_")).status).toBe(401);
    expect(kit.asked.length).toBe(before);
  });

  test("without a list everybody it knows is a separate user, and nobody is the owner", async () => {
    await operator.stop();
    await operator.start(vars(""));
    const users = await Promise.all([dana, bob, eve].map(async (person) => (await me(kit.token(person))).user));
    expect(new Set(users).size).toBe(3);
    expect(users.every((user) => user?.startsWith("a-"))).toBe(true);
  });
});
