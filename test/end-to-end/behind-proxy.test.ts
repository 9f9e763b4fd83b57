import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { unusedPort } from "../support/unused-port.ts";
import { client } from "./support/clients.ts";
import { within } from "./support/eventually.ts";
import { type Answer, answerOf, headOf, send } from "./support/http.ts";
import { namesOfThisComputer } from "./support/localhost.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { hasProxies, Proxy } from "./support/proxy.ts";
import { ScriptedServer } from "./support/scripted-server.ts";
import { Workshop } from "./support/workshop.ts";

const HOST = "operator.example.com";
const ORIGIN = `https://${HOST}`;

/**
 * A hang guard. What is measured takes some 20 ms, and nothing else would end a call so soon: a connection is first found to be dead 15 s
 * later.
 */
const SOON_MS = 10_000;

/** The shortest possible configuration: nothing except `proxy_pass`. */
const BARE_NGINX = `server {
  listen 443 ssl;
  ssl_certificate /etc/x/fullchain.pem;
  ssl_certificate_key /etc/x/privkey.pem;
  location / { proxy_pass http://127.0.0.1:8787; }
}`;

const Token = z.object({ token: z.string() });

describe.skipIf(!hasProxies())("an Operator behind a proxy", () => {
  let operator: TestOperator;
  /** A token of the owner's, made while Operator was one that only this computer reaches. */
  let token: string;
  let trustedBefore: string[];

  beforeAll(async () => {
    namesOfThisComputer.add(HOST);
    trustedBefore = getCACertificates("default");
    operator = await TestOperator.start();
    token = Token.parse((await operator.api("POST", "/api/tokens", { label: "behind a proxy" })).body).token;
    await operator.stop();
    const port = await unusedPort();
    const tls = { kind: "proxy", ranges: ["127.0.0.1"] } as const;
    operator.open({ kind: "public", origin: ORIGIN, host: "127.0.0.1", port, tls, folder: `${operator.folder}/tls` });
    await operator.start();
  });

  afterAll(async () => {
    await operator[Symbol.asyncDispose]();
    setDefaultCACertificates(trustedBefore);
    namesOfThisComputer.delete(HOST);
  });

  /** Ends with the Operator, and its certificate is trusted by every client in this process. */
  function use(proxy: Proxy): Proxy {
    operator.own(proxy);
    setDefaultCACertificates([...getCACertificates("default"), proxy.cert]);
    return proxy;
  }

  describe("nginx with a proxy_pass and nothing else", () => {
    let url: URL;

    beforeAll(async () => {
      const proxy = use(await Proxy.start("nginx", BARE_NGINX, HOST, operator.port));
      url = new URL(`${ORIGIN}:${proxy.port}`);
    });

    test.each([
      ["no word of its own", {}, 400, 401],
      ["the right host", { "x-forwarded-host": HOST }, 401, 401],
      ["a loopback host", { "x-forwarded-host": "127.0.0.1", "x-forwarded-for": "127.0.0.1" }, 400, 401],
      ["the scheme of a local start", { "x-forwarded-host": HOST, "x-forwarded-proto": "http" }, 400, 400],
    ])("treats nobody as the owner who comes with %s", async (_, headers, status, atMachine) => {
      for (const path of ["/api/machines", "/mcp"])
        expect((await fetch(new URL(path, url), { headers })).status).toBe(status);
      expect((await fetch(new URL("/m/attic/mcp", url), { headers })).status).toBe(atMachine);
    });
  });

  test("forwarding headers are ignored unless they come from the proxy's address", async () => {
    const url = new URL(`http://127.0.0.1:${operator.port}/api/machines`);
    const headers = { host: HOST, "x-forwarded-proto": "https", authorization: `Bearer ${token}` };
    expect((await send(url, { method: "GET", headers })).status).toBe(200);
    const elsewhere = { "x-forwarded-host": HOST, authorization: `Bearer ${token}` };
    expect((await send(url, { method: "GET", headers: elsewhere })).status).toBe(200);
    expect((await send(url, { method: "GET", headers: elsewhere, from: "127.0.0.2" })).status).toBe(400);
  });

  describe.each(["nginx", "caddy"] as const)("%s, configured as documented,", (name) => {
    let proxy: Proxy;
    let url: URL;
    let server: ScriptedServer;
    let machine: Machine;
    let authorization: { authorization: string };

    beforeAll(async () => {
      proxy = use(await Proxy.recipe(name, HOST, operator.port));
      url = new URL(`${ORIGIN}:${proxy.port}`);
      operator.reachedAt(url.origin);
      server = await ScriptedServer.start((_, response) => void response.end("hello"));
      operator.own(server);
      authorization = { authorization: `Bearer ${token}` };
      const dial = (link: string): string => link.replace(HOST, url.host);
      machine = await Machine.add(operator, name, server.url, { token, dial });
    });

    /** A request through the proxy, for the host without its port: a real one has the port of https. */
    function open(method: string, path: string, headers: Record<string, string> = {}): ReturnType<typeof httpsRequest> {
      return httpsRequest(new URL(path, url), { method, headers: { host: HOST, ...headers }, agent: false });
    }

    async function ask(method: string, path: string): Promise<Answer> {
      const call = open(method, path);
      const head = headOf(call);
      call.end();
      return answerOf(await head);
    }

    test("asks strangers to sign in at the address that they used", async () => {
      const refused = await ask("POST", "/mcp");
      expect(refused.status).toBe(401);
      const path = "/.well-known/oauth-protected-resource/mcp";
      expect(refused.headers["www-authenticate"]).toContain(`resource_metadata="${ORIGIN}${path}"`);
      const metadata = JSON.parse((await ask("GET", path)).text) as object;
      expect(metadata).toMatchObject({ resource: `${ORIGIN}/mcp`, authorization_servers: [ORIGIN] });
    });

    test("carries a machine's link, and calls to it", async () => {
      expect(machine.epochs).toHaveLength(1);
      const answer = await fetch(new URL(machine.url.pathname, url), { method: "POST", headers: authorization });
      expect(await answer.text()).toBe("hello");
    });

    test.each(["2025-11-25", "2026-07-28"] as const)("serves an MCP client of %s", async (era) => {
      const workshop = await Workshop.start();
      operator.own(workshop);
      await using caller = await client(new URL("/mcp", url), era, authorization);
      const { structuredContent } = await caller.callTool({ name: "list_machines", arguments: {} });
      expect(JSON.stringify(structuredContent)).toContain(`"${name}"`);
    });

    test("forwards an event stream event by event, and ends it at the machine when its client disconnects", async () => {
      const { promise, resolve } = Promise.withResolvers<{ request: IncomingMessage; response: ServerResponse }>();
      server.answer((request, response) => {
        response.writeHead(200, { "content-type": "text/event-stream" });
        response.write("data: 1\n\n");
        resolve({ request, response });
      });
      const call = open("GET", machine.url.pathname, { ...authorization, accept: "text/event-stream" });
      call.on("error", () => undefined);
      const answered = headOf(call);
      call.end();
      const { response } = await within(SOON_MS, "the request at the machine", promise);
      const answer = await within(SOON_MS, "the head of the stream", answered);
      answer.on("error", () => undefined);
      const chunks = answer[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
      expect((await within(SOON_MS, "the first event", chunks.next())).value.toString()).toBe("data: 1\n\n");
      response.write("data: 2\n\n");
      expect((await within(SOON_MS, "the second event", chunks.next())).value.toString()).toBe("data: 2\n\n");
      const gone = once(response, "close");
      call.destroy();
      await within(SOON_MS, "the end of the stream at the machine", gone);
    });
  });
});
