import { once } from "node:events";
import { readFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage, type ServerResponse } from "node:http";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { unusedPort } from "../support/unused-port.ts";
import { bodyOf, HttpServer } from "../scripts/connector/support/http-server.ts";
import { client } from "./support/clients.ts";
import { within } from "./support/eventually.ts";
import { answerOf, arrivalOf, headOf, Pieces } from "./support/http.ts";
import { namesOfThisComputer } from "./support/localhost.ts";
import { Machine } from "./support/machine.ts";
import { NextGate } from "./support/next-gate.ts";
import { TestOperator } from "./support/operator.ts";
import { hasProxies, Proxy } from "./support/proxy.ts";
import { ScriptedServer } from "./support/scripted-server.ts";
import { Workshop } from "./support/workshop.ts";

const DOMAIN = "mcp.example.com";
const GATES = fileURLToPath(new URL("../../scripts/gates", import.meta.url));
const SECRET = "the-dispatch-secret";
const OLDER_SECRET = "the-secret-before";
const JSON_TYPE = { "content-type": "application/json", accept: "application/json, text/event-stream" };
const OWNER = { authorization: "Bearer token-of-the-owner" };
const ADA = { authorization: "Bearer token-of-ada" };
/** Somebody whom the proxies' sign-in service lets in without saying who it is. */
const UNNAMED = { authorization: "Bearer token-of-somebody" };

/**
 * Past this a machine was not told that its client is gone, which usually takes some 20 ms. Nothing else would end its call so soon: a
 * connection is first found to be dead 15 s later.
 */
const CANCELLED_MS = 10_000;

let operator: TestOperator;
let dispatchPort: number;
let trustedBefore: string[];

beforeAll(async () => {
  for (const name of ["attic", "barn", "shed", "silo"]) namesOfThisComputer.add(`${name}.${DOMAIN}`);
  trustedBefore = getCACertificates("default");
  dispatchPort = await unusedPort();
  // A call that meets a restart fails, and these clients do not try again. What callers are told then has tests of its own.
  const vars = { DISPATCH_SECRET: SECRET, DISPATCH_SECRET_PREVIOUS: OLDER_SECRET };
  operator = await TestOperator.start(vars, { restartShare: 0 });
  await operator.stop();
  operator.openDispatch(dispatchPort);
  await operator.start();
  const workshop = await Workshop.start();
  operator.own(workshop);
  await Machine.add(operator, "attic", workshop.url);
});

afterAll(async () => {
  await operator[Symbol.asyncDispose]();
  setDefaultCACertificates(trustedBefore);
  namesOfThisComputer.clear();
});

/** A sign-in service as the proxies' configurations want one. */
async function signIn(): Promise<HttpServer> {
  return HttpServer.start((request, response) => {
    const { authorization = "" } = request.headers;
    const user = { [OWNER.authorization]: "owner", [ADA.authorization]: "ada" }[authorization];
    const isLetIn = user !== undefined || authorization === UNNAMED.authorization;
    response.writeHead(isLetIn ? 204 : 401, user === undefined ? {} : { "x-user": user }).end();
  });
}

async function proxyGate(name: "nginx" | "caddy"): Promise<string> {
  const people = await signIn();
  operator.own(people);
  const config = readFileSync(join(GATES, name === "nginx" ? "nginx.conf" : "Caddyfile"), "utf8")
    .replaceAll("127.0.0.1:8788", `127.0.0.1:${dispatchPort}`)
    .replaceAll("127.0.0.1:9000", `127.0.0.1:${people.url.port}`)
    // The support puts in the port and a certificate of its own.
    .replace(/\*\.mcp\.example\.com \{\n {2}tls .*/, "operator.example.com {");
  const proxy = await Proxy.start(name, config, `*.${DOMAIN}`, dispatchPort);
  operator.own(proxy);
  setDefaultCACertificates([...trustedBefore, proxy.cert]);
  return `https://attic.${DOMAIN}:${proxy.port}`;
}

async function nextGate(): Promise<string> {
  const gate = await NextGate.start({
    GATE_DOMAIN: DOMAIN,
    OPERATOR_DISPATCH_URL: `http://127.0.0.1:${dispatchPort}`,
    OPERATOR_DISPATCH_SECRET: SECRET,
    GATE_TOKENS: "token-of-the-owner=owner token-of-ada=ada",
  });
  operator.own(gate);
  return `http://attic.${DOMAIN}:${gate.port}`;
}

// Each has a machine of its own. One that was removed and added again within a second is not always reached by the first call, which is told
// so: a script that has just answered counts as running, and no copy of a body is kept for it (dispatch-binding/binding.ts).
describe.each([
  ["a Next.js project with proxy.ts", nextGate, true, "barn"],
  ["nginx", () => proxyGate("nginx"), hasProxies(), "shed"],
  ["Caddy", () => proxyGate("caddy"), hasProxies(), "silo"],
] as const)("%s as a gate", (_, start, isHere, own) => {
  let origin: string;
  let scripted: ScriptedServer;
  let connected: Machine;

  beforeAll(async () => {
    if (!isHere) return;
    origin = await start();
    scripted = await ScriptedServer.start((_request, response) => void response.end());
    connected = await Machine.add(operator, own, scripted.url);
  }, 600_000);

  afterAll(async () => {
    await connected?.[Symbol.asyncDispose]();
    await operator.api("DELETE", `/api/machines/${own}`);
    await scripted?.[Symbol.asyncDispose]();
  });

  /** A request to a machine through the gate; nothing of it is hidden from the test. */
  function knock(machine: string, path: string, headers: Record<string, string>, method = "POST") {
    const url = new URL(path, origin.replace("attic", machine));
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    return send(url, { method, headers, agent: false });
  }

  async function statusOf(machine: string, path: string, headers: Record<string, string>): Promise<number> {
    const call = knock(machine, path, { ...JSON_TYPE, ...headers });
    const head = headOf(call);
    call.end('{"jsonrpc":"2.0","id":1,"method":"ping"}');
    return (await answerOf(await head)).status;
  }

  /** The next request at the machine's server, which `answer` answers in part; and when its connection has ended. */
  function arrival(
    answer: (response: ServerResponse) => void,
  ): Promise<{ request: IncomingMessage; gone: Promise<unknown> }> {
    return new Promise((resolve) =>
      scripted.answer(async (request, response) => {
        const gone = once(response, "close");
        await bodyOf(request);
        answer(response);
        resolve({ request, gone });
      }),
    );
  }

  test.skipIf(!isHere).each(["2025-11-25", "2026-07-28"] as const)(
    "lets a real client of %s use a machine at its own host",
    async (era) => {
      await using made = await client(new URL("/mcp", origin), era, OWNER);
      const { structuredContent } = await made.callTool({ name: "add", arguments: { a: 2, b: 3 } });
      expect(structuredContent).toEqual({ sum: 5 });
    },
  );

  test.skipIf(!isHere)("forwards events as they arrive", async () => {
    const { promise: more, resolve } = Promise.withResolvers<ServerResponse>();
    const arrived = arrival((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("data: one\n\n");
      resolve(response);
    });
    const call = knock(own, "/mcp", { ...JSON_TYPE, ...OWNER });
    const head = headOf(call);
    call.end("{}");
    await arrivalOf(arrived, call);
    const pieces = new Pieces(await head);
    await pieces.until("data: one");
    (await more).end("data: two\n\n");
    expect(await pieces.rest()).toContain("data: two");
  });

  test.skipIf(!isHere)(
    "tells the machine when a client disconnects, before an answer and in a quiet stream",
    async () => {
      for (const begun of [false, true]) {
        const arrived = arrival((response) => {
          if (!begun) return;
          response.writeHead(200, { "content-type": "text/event-stream" });
          response.write(": hello\n\n");
        });
        const call = knock(own, "/mcp", { ...JSON_TYPE, ...OWNER });
        call.on("error", () => undefined);
        call.end("{}");
        const head = begun ? headOf(call) : null;
        const { gone } = await arrivalOf(arrived, call);
        // While a stream's head is on its way, a disconnect may be noticed only at the stream's next write (scripts/local/README.md).
        if (head !== null) await new Pieces(await head).until(": hello");
        call.destroy();
        await within(CANCELLED_MS, "the end of the call at the machine", gone);
      }
    },
  );

  test.skipIf(!isHere)("ignores Operator's own headers from a client, and forwards no credentials", async () => {
    const forged = { "x-operator-caller": "owner", "x-operator-secret": SECRET, "x-operator-machine": own };
    expect(await statusOf("attic", "/mcp", forged)).toBe(401);
    expect(await statusOf("attic", "/mcp", { ...ADA, ...forged })).toBe(404); // attic is not Ada's
    expect(await statusOf("attic", "/mcp", { ...UNNAMED, ...forged })).toBeGreaterThanOrEqual(400);
    const arrived = arrival((response) => void response.end("{}"));
    const call = knock(own, "/mcp", {
      ...JSON_TYPE,
      ...OWNER,
      ...forged,
      "x-operator-machine": "attic",
      cookie: "a=b",
      "mcp-session-id": "s1",
    });
    const head = headOf(call);
    call.end("{}");
    const { headers } = (await arrivalOf(arrived, call)).request;
    expect(Object.keys(headers).filter((name) => /operator|authorization|cookie/.test(name))).toEqual([]);
    expect(headers["mcp-session-id"]).toBe("s1");
    expect((await head).statusCode).toBe(200);
  });

  test.skipIf(!isHere)(
    "serves only a machine's endpoint: no link, no upgrade, and none of Operator's own paths",
    async () => {
      for (const path of ["/link", "/operator/state", "/mcp/../operator/state", `/m/${own}/mcp`])
        expect([path, await statusOf("attic", path, OWNER)]).toEqual([path, 404]);
      const upgrade = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==" }; // prettier-ignore
      const call = knock(own, "/mcp", { ...OWNER, ...upgrade }, "GET");
      scripted.answer((_request, response) => void response.end("{}"));
      let isUpgraded = false;
      call.on("upgrade", () => (isUpgraded = true));
      call.on("error", () => undefined);
      call.end();
      // Next.js leaves such a request without any answer, so its end cannot be waited for. Later calls have overtaken it by then.
      for (let later = 0; later < 5; later += 1) expect(await statusOf(own, "/mcp", OWNER)).toBe(200);
      expect(isUpgraded).toBe(false);
      call.destroy();
    },
  );
});

describe("the dispatch Worker's secret", () => {
  test("can be rotated under load without a failed call, because the previous one works until the next rotation", async () => {
    const call = async (secret: string): Promise<number> => {
      const response = await fetch(`http://127.0.0.1:${dispatchPort}/mcp`, {
        method: "POST",
        headers: {
          ...JSON_TYPE,
          "x-operator-secret": secret,
          "x-operator-machine": "attic",
          "x-operator-caller": "owner",
        },
        body: '{"jsonrpc":"2.0","id":1,"method":"ping"}',
      });
      await response.body?.cancel();
      return response.status;
    };
    const usual = await call(OLDER_SECRET);
    expect(usual).toBeLessThan(401); // the machine's own answer
    const load = { secret: OLDER_SECRET, isOver: false, answers: [] as { secret: string; status: number }[] };
    const answersWith = (wanted: string) => load.answers.filter(({ secret }) => secret === wanted);
    const callers = Array.from({ length: 8 }, async () => {
      while (!load.isOver) {
        const { secret } = load;
        load.answers.push({ secret, status: await call(secret) });
      }
    });
    await expect.poll(() => answersWith(OLDER_SECRET).length, { timeout: 30_000 }).toBeGreaterThan(50);
    load.secret = SECRET;
    await expect.poll(() => answersWith(SECRET).length, { timeout: 30_000 }).toBeGreaterThan(50);
    load.isOver = true;
    await Promise.all(callers);
    expect(new Set(load.answers.map(({ status }) => status))).toEqual(new Set([usual]));
    expect(await call("another")).toBe(401);
  });
});
