import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { client } from "./support/clients.ts";
import { until } from "./support/eventually.ts";
import { type Answer, send } from "./support/http.ts";
import { Machine } from "./support/machine.ts";
import { TestOperator } from "./support/operator.ts";
import { Workshop } from "./support/workshop.ts";

const Token = z.object({ token: z.string() });
const Polled = z.object({
  events: z.array(z.object({ machine: z.string() })),
  cursor: z.string(),
});

let operator: TestOperator;
let workshop: Workshop;
let tokenOfAda: string;
let tokenOfBob: string;
/** Machines of Ada, a user; of Bob, another; and of this Operator's owner, whose machines have plain names. */
let attic: Machine;
let barn: Machine;
let cellar: Machine;

/** A personal access token of a user. Whoever asks from this computer is that user for as long as Operator runs this once. */
async function tokenOf(user: string): Promise<string> {
  await operator.stop();
  await operator.start({ LOOPBACK_OWNER: user });
  const { body } = await operator.api("POST", "/api/tokens", { label: "isolation" });
  return Token.parse(body).token;
}

beforeAll(async () => {
  operator = await TestOperator.start({ LOOPBACK_OWNER: "ada" });
  tokenOfAda = await tokenOf("ada");
  tokenOfBob = await tokenOf("bob");
  await operator.stop();
  await operator.start({});
  workshop = await Workshop.start();
  operator.own(workshop);
  attic = await Machine.add(operator, "attic", workshop.url, { token: tokenOfAda });
  barn = await Machine.add(operator, "barn", workshop.url, { token: tokenOfBob });
  cellar = await Machine.add(operator, "cellar", workshop.url);
  attic.push({ atMs: 1, type: "message", session: "s1", data: "for Ada alone" });
  barn.push({ atMs: 1, type: "message", session: "s1", data: "for Bob alone" });
});

afterAll(() => operator[Symbol.asyncDispose]());

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const MCP = { "content-type": "application/json", accept: "application/json, text/event-stream" };

/** All that a caller sees of an answer, with the machine's name made the same. */
function seen({ status, headers, text }: Answer, name: string): object {
  const { date: _, "content-length": __, ...rest } = headers;
  return JSON.parse(JSON.stringify({ status, headers: rest, text }).replaceAll(name, "<machine>"));
}

async function callTool(token: string | null, name: string, args: object): Promise<Record<string, unknown>> {
  await using made = await client(operator.mcpUrl, "2026-07-28", token === null ? {} : bearer(token));
  return await made.callTool({ name, arguments: { ...args } });
}

describe("another user cannot tell an existing machine from one that does not exist", () => {
  test("at its own URLs, whatever the method", async () => {
    const strangers = [
      { token: tokenOfBob, machine: attic },
      { token: tokenOfBob, machine: cellar },
      { token: tokenOfAda, machine: barn },
    ];
    for (const { token, machine } of strangers) {
      const { slug } = machine.registration;
      // Of the same shape and with the same tag, but without a machine.
      const unknown = slug.replace(machine.name, "nowhere");
      for (const method of ["POST", "GET", "DELETE"])
        for (const path of ["mcp", "operator/state", "operator/events"])
          for (const [there, notThere] of [
            [new URL(`/m/${slug}/${path}`, operator.url), new URL(`/m/${unknown}/${path}`, operator.url)],
            [
              new URL(`http://${slug}.localhost:${operator.port}/${path}`),
              new URL(`http://${unknown}.localhost:${operator.port}/${path}`),
            ],
          ] as const) {
            const ask = { method, headers: { ...MCP, ...bearer(token) }, body: method === "POST" ? "{}" : "" };
            const answer = await send(there, ask);
            expect(answer.status).toBe(404);
            expect(seen(answer, slug)).toEqual(seen(await send(notThere, ask), unknown));
          }
    }
  });

  test("without any token, from a page of another site, or through a proxy", async () => {
    const { slug } = attic.registration;
    const unknown = slug.replace("attic", "nowhere");
    for (const headers of [
      { "x-forwarded-for": "10.0.0.1" },
      { via: "1.1 tunnel" },
      { "cf-connecting-ip": "10.0.0.1" },
      { origin: "https://page.example" },
      { origin: "null" },
      { authorization: "Bearer opr_ada_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" },
      { authorization: "Bearer nonsense" },
      { authorization: "Basic YWRhOmFkYQ==" },
    ]) {
      const ask = { headers: { ...MCP, ...headers }, body: "{}" };
      const answer = await send(attic.url, ask);
      expect([headers, [401, 403].includes(answer.status)]).toEqual([headers, true]);
      expect(seen(answer, slug)).toEqual(seen(await send(new URL(`/m/${unknown}/mcp`, operator.url), ask), unknown));
      for (const path of ["/mcp", "/api/machines", "/api/me", "/api/events", "/api/tokens"])
        expect([path, (await send(new URL(path, operator.url), { ...ask, method: "GET" })).status]).toEqual([
          path,
          answer.status,
        ]);
    }
    expect(workshop.calls.size).toBe(0);
  });

  test("in every route of the REST API", async () => {
    for (const [method, suffix, body] of [
      ["GET", "", undefined],
      ["PATCH", "", { name: "mine" }],
      ["DELETE", "", undefined],
      ["POST", "/token", undefined],
      ["POST", "/upgrade", undefined],
    ] as const) {
      const there = await operator.api(method, `/api/machines/attic${suffix}`, body, tokenOfBob);
      const notThere = await operator.api(method, `/api/machines/nowhere${suffix}`, body, tokenOfBob);
      expect(there.status).toBe(404);
      expect(JSON.stringify(there).replaceAll("attic", "<machine>")).toBe(
        JSON.stringify(notThere).replaceAll("nowhere", "<machine>"),
      );
    }
    const list = async (token?: string) =>
      JSON.stringify((await operator.api("GET", "/api/machines", undefined, token)).body);
    expect((await list(tokenOfBob)).includes("attic")).toBe(false);
    expect((await list()).includes("attic")).toBe(false); // being this Operator's owner opens nobody's machine
    expect(await list(tokenOfAda)).toContain("attic");
    // The same name is free to everybody.
    expect(
      (await operator.api("POST", "/api/machines", { name: "attic", identity: "0123456789abcdef" }, tokenOfBob)).status,
    ).toBe(201);
    expect((await operator.api("DELETE", "/api/machines/attic", undefined, tokenOfBob)).status).toBe(204);
    expect((await attic.detail()).status).toBe("online");
  });

  test("in every tool of the unified endpoint", async () => {
    for (const [tool, args] of [
      ["get_machine", {}],
      ["list_tools", {}],
      ["call_tool", { name: "add", arguments: { a: 1, b: 2 } }],
      ["list_resources", {}],
      ["read_resource", { uri: "x:y" }],
      ["list_prompts", {}],
      ["get_prompt", { name: "x" }],
      ["list_projects", {}],
      ["get_health", {}],
      ["poll_events", { timeout_ms: 0 }],
      ["send_prompt", { session_id: "s1", text: "hi" }],
    ] as const) {
      const there = await callTool(tokenOfBob, tool, { ...args, machineId: "attic" });
      const notThere = await callTool(tokenOfBob, tool, { ...args, machineId: "nowhere" });
      expect([tool, there["isError"]]).toEqual([tool, true]);
      expect(there["structuredContent"]).toMatchObject({ error: { code: "machine_unknown" } });
      expect(JSON.stringify(there).replaceAll("attic", "<machine>")).toBe(
        JSON.stringify(notThere).replaceAll("nowhere", "<machine>"),
      );
    }
    expect(JSON.stringify(await callTool(tokenOfBob, "list_machines", {}))).not.toContain("attic");
    expect(JSON.stringify(await callTool(tokenOfBob, "list_machines", {}))).toContain("barn");
    // And a slug is no name: nobody gets at a script by what it is called in the namespace.
    const bySlug = await callTool(tokenOfBob, "call_tool", {
      machineId: attic.registration.slug,
      name: "add",
      arguments: {},
    });
    expect(bySlug["structuredContent"]).toMatchObject({ error: { code: "machine_unknown" } });
  });
});

test("a cursor and a session handle of one user are useless to another", async () => {
  const poll = async (token: string | null, args: object) =>
    Polled.parse((await callTool(token, "poll_events", { timeout_ms: 0, ...args }))["structuredContent"]);
  const adas = await poll(tokenOfAda, {});
  expect(adas.events.length).toBeGreaterThan(0);
  expect(new Set(adas.events.map(({ machine }) => machine))).toEqual(new Set(["attic"]));
  // Ada's cursor, in Bob's hands, is a position in a log that is not his.
  const { structuredContent } = await callTool(tokenOfBob, "poll_events", { timeout_ms: 0, cursor: adas.cursor });
  expect(structuredContent).toMatchObject({ error: { code: "cursor_expired" } });
  const bobs = await poll(tokenOfBob, {});
  expect(new Set(bobs.events.map(({ machine }) => machine))).toEqual(new Set(["barn"]));
  expect(JSON.stringify(bobs)).not.toContain("for Ada alone");
  for (const session_id of ["attic/s1", `${attic.registration.slug}/s1`]) {
    const polled = await callTool(tokenOfBob, "poll_events", { session_id, timeout_ms: 0 });
    expect(JSON.stringify(polled)).not.toContain("Ada");
    const prompted = await callTool(tokenOfBob, "send_prompt", { session_id, text: "hi" });
    expect(prompted["isError"]).toBe(true);
  }
  const ended = new AbortController();
  const follow = (token: string) =>
    operator.request("/api/events?machine=attic", { headers: bearer(token), signal: ended.signal }).then(heard);
  const [byAda, byBob] = [await follow(tokenOfAda), await follow(tokenOfBob)];
  attic.push({ atMs: 2, type: "message", session: "s1", data: "later, for Ada alone" });
  await until("Ada's stream has her event", () => byAda.said.includes("for Ada alone"));
  expect(byBob.said).not.toContain("for Ada alone");
  ended.abort();
});

/** What a stream says, as it arrives. */
function heard({ body }: Response): { said: string } {
  const all = { said: "" };
  const words = new WritableStream<string>({ write: (text) => void (all.said += text) });
  body
    ?.pipeThrough(new TextDecoderStream())
    .pipeTo(words)
    .catch(() => undefined);
  return all;
}

test("a host that is not this Operator's is refused, so that no page can rebind its name to it", async () => {
  for (const host of [
    "evil.example",
    `evil.example:${operator.port}`,
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "0x7f.1.evil.example",
    "xn--lcalhost-c4a",
  ]) {
    for (const target of ["/mcp", "/api/machines", "/api/me", "/m/cellar/mcp", "/"]) {
      const answer = await send(operator.mcpUrl, { method: "GET", headers: { host }, target });
      expect([host, target, [400, 401, 403].includes(answer.status)]).toEqual([host, target, true]);
      expect(answer.text).not.toContain("cellar");
    }
  }
});

test("Operator's own headers sent by a client have no effect", async () => {
  const headers = {
    ...MCP,
    ...bearer(tokenOfBob),
    "x-operator-caller": "ada",
    "x-operator-machine": attic.registration.slug,
    "x-operator-secret": "",
  };
  for (const url of [attic.url, attic.hostUrl]) expect((await send(url, { headers, body: "{}" })).status).toBe(404);
  const list = await send(new URL("/api/machines", operator.url), { method: "GET", headers });
  expect([list.text.includes("barn"), list.text.includes("attic")]).toEqual([true, false]);
  // Names that differ only in how they are written, twice the same header, and one in another's value.
  const raw = await rawRequest(
    `POST /m/barn--x/mcp HTTP/1.1\r\nHost: 127.0.0.1:${operator.port}\r\nAuthorization: Bearer ${tokenOfBob}\r\n` +
      `X-OPERATOR-CALLER: ada\r\nx-operator-caller: ada\r\nX-Operator-Machine: ${attic.registration.slug}\r\n` +
      `X-Other: 1\r\n x-operator-caller: ada\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}`,
  );
  expect(raw).toMatch(/^HTTP\/1\.1 4/);
  expect(workshop.calls.size).toBe(0);
});

test("a link needs its own machine's token, and a wrong token is refused in the same way as any other", async () => {
  const upgrade = {
    connection: "upgrade",
    upgrade: "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
  };
  const { slug } = attic.registration;
  const refusals: object[] = [];
  for (const [name, token] of [
    [slug, barn.registration.token],
    [slug, tokenOfAda],
    [slug, "opl_nonsense"],
    [slug.replace("attic", "nowhere"), attic.registration.token],
    [slug.replace("attic", "nowhere"), "opl_nonsense"],
  ] as const) {
    const answer = await send(new URL(`/m/${name}/link`, operator.url), {
      method: "GET",
      headers: { ...upgrade, ...bearer(token ?? "") },
    });
    refusals.push(seen(answer, name));
  }
  expect(refusals[0]).toMatchObject({ status: 401 });
  for (const refusal of refusals) expect(refusal).toEqual(refusals[0]);
  expect((await attic.detail()).status).toBe("online");
});

/** Bytes as they are, for what no HTTP client would send. */
function rawRequest(bytes: string): Promise<string> {
  const socket = connect(operator.port, "127.0.0.1");
  let text = "";
  return new Promise((resolve, reject) => {
    socket.on("data", (chunk) => (text += chunk.toString()));
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
    socket.write(bytes);
  });
}
