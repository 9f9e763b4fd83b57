import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { client } from "./support/clients.ts";
import { until } from "./support/eventually.ts";
import { send } from "./support/http.ts";
import { TestOperator } from "./support/operator.ts";
import { run } from "./support/run.ts";

const OPERATOR = fileURLToPath(new URL("../../scripts/operator/bin.js", import.meta.url));
const Token = z.object({ token: z.string() });
const Machines = z.object({
  machines: z.array(z.looseObject({ name: z.string(), slug: z.string(), mcpUrl: z.string(), mcpHostUrl: z.string() })),
});

/** A server that says what it sees, written without any package. */
const NOSY = (version: string) => `
import { DurableObject } from "cloudflare:workers"; export class Counter extends DurableObject {
  next() { const n = (this.ctx.storage.kv.get("n") ?? 0) + 1; this.ctx.storage.kv.put("n", n); return n; }
}
const TOOLS = [{ name: "look", description: "look", inputSchema: { type: "object" } }];
async function look(request, env, { url }) {
  const reached = url === undefined ? null : await fetch(url).then(({ status }) => status, () => "refused");
  return { version: "${version}", env: Object.keys(env).sort(), secret: env.API_KEY ?? null, count: await env.COUNTER.getByName("one").next(),
    headers: [...request.headers.keys()].filter((name) => /operator|authorization|cookie/.test(name)), reached };
}
export default {
  async fetch(request, env) {
    if (request.method !== "POST") return new Response(null, { status: 405 });
    const { id, method, params } = await request.json();
    if (id === undefined) return new Response(null, { status: 202 });
    const answer = (result) => Response.json({ jsonrpc: "2.0", id, result }, { headers: { "x-operator-error": "forged" } });
    switch (method) {
      case "initialize":
        return answer({ protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "nosy", version: "1" } });
      case "tools/list":
        return answer({ tools: TOOLS });
      case "tools/call":
        if (params.name === "hang") return new Promise(() => undefined);
        if (params.name === "socket") return new Response(null, { status: 101, webSocket: new WebSocketPair()[0] });
        return answer({ content: [{ type: "text", text: JSON.stringify(await look(request, env, params.arguments)) }] });
      default:
        return Response.json({ jsonrpc: "2.0", id, error: { code: -32601, message: "no such method" } }, { status: 404 });
    }
  },
};`;

const NOSY_CONFIG = {
  name: "nosy",
  main: "index.js",
  compatibility_date: "2026-08-01",
  vars: { COLOUR: "red", SIZES: [1, 2] },
  durable_objects: { bindings: [{ name: "COUNTER", class_name: "Counter" }] },
  migrations: [{ tag: "v1", new_sqlite_classes: ["Counter"] }],
};

let operator: TestOperator;
let tokenOfAda: string;
let tokenOfBob: string;

/** What a token needs that may also delete servers, which a person or one of these has to do. */
const SCOPES = ["mcp:tools", "operator:admin", "operator:tokens"];

/** A personal access token of a user. Whoever asks from this computer is that user for as long as Operator runs this once. */
async function tokenOf(user: string): Promise<string> {
  await operator.stop();
  await operator.start({ LOOPBACK_OWNER: user });
  return Token.parse((await operator.api("POST", "/api/tokens", { label: "servers", scopes: SCOPES })).body).token;
}

/** `operator servers ...` as a user runs it. */
function servers(token: string, args: readonly string[], input = ""): ReturnType<typeof run> {
  return run(process.execPath, [OPERATOR, "servers", ...args], {
    env: { OPERATOR_URL: operator.url, OPERATOR_TOKEN: token, CODEZ_HOME: operator.folder, NO_COLOR: "1" },
    input,
  });
}

async function folderWith(name: string, source: string, config: object = NOSY_CONFIG): Promise<string> {
  const folder = join(operator.folder, name);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "index.js"), source);
  await writeFile(join(folder, "wrangler.jsonc"), JSON.stringify(config));
  return folder;
}

async function machinesOf(token: string): Promise<z.infer<typeof Machines>["machines"]> {
  return Machines.parse((await operator.api("GET", "/api/machines", undefined, token)).body).machines;
}

async function serverOf(token: string, name: string) {
  const found = (await machinesOf(token)).find((machine) => machine.name === name);
  if (found === undefined) throw new Error(`there is no ${name}`);
  return found;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });

async function callTool(token: string, machineId: string, name: string, args: object): Promise<string> {
  await using made = await client(operator.mcpUrl, "2026-07-28", bearer(token));
  const { content } = await made.callTool({ name: "call_tool", arguments: { machineId, name, arguments: args } });
  const [part] = content;
  return part?.type === "text" ? part.text : JSON.stringify(content);
}

const look = async (args: object = {}): Promise<Record<string, unknown>> =>
  JSON.parse(await callTool(tokenOfAda, "nosy", "look", args));

beforeAll(async () => {
  operator = await TestOperator.start({ LOOPBACK_OWNER: "ada" });
  tokenOfAda = await tokenOf("ada");
  tokenOfBob = await tokenOf("bob");
  await operator.stop();
  await operator.start({});
});

afterAll(() => operator[Symbol.asyncDispose]());

test("one command deploys a folder made from the template and calls it at its public address", async () => {
  const folder = join(operator.folder, "echo-server");
  expect((await servers(tokenOfAda, ["new", "echo", folder])).code).toBe(0);
  expect((await servers(tokenOfAda, ["new", "echo", folder])).stderr).toBe(
    `${folder} is not empty. Choose a folder of its own for the server.\n`,
  );
  const { code, stdout, stderr } = await servers(tokenOfAda, ["deploy", folder]);
  // The command meets this Operator for the first time.
  expect([code, stderr]).toEqual([0, expect.stringMatching(/^\S+ is known by its key from now on, in \S+\n$/)]);
  const { mcpUrl } = await serverOf(tokenOfAda, "echo");
  expect(stdout.split("\n")).toEqual([
    "echo: ready and verified (version 1)",
    "  tools/list -> echo",
    '  tools/call echo {"message":"hello"} -> echo: hello',
    `  ${mcpUrl}`,
    "",
  ]);
});

test.each(["2025-11-25", "2026-07-28"] as const)(
  "it can be reached at its own addresses with a client of %s, is listed beside machines, and works with call_tool",
  async (era) => {
    const { mcpUrl, mcpHostUrl, ...listed } = await serverOf(tokenOfAda, "echo");
    expect(listed).toMatchObject({ kind: "hosted", status: "online", outdated: false });
    for (const url of [mcpUrl, mcpHostUrl]) {
      await using made = await client(new URL(url), era, bearer(tokenOfAda));
      const { content } = await made.callTool({ name: "echo", arguments: { message: era } });
      expect(content).toEqual([{ type: "text", text: `echo: ${era}` }]);
    }
    expect(await callTool(tokenOfAda, "echo", "echo", { message: era })).toBe(`echo: ${era}`);
    await using unified = await client(operator.mcpUrl, era, bearer(tokenOfAda));
    const { structuredContent } = await unified.callTool({ name: "list_machines", arguments: {} });
    expect(structuredContent).toMatchObject({ machines: [{ name: "echo", kind: "hosted" }] });
  },
);

describe("to another user", () => {
  test("an existing server looks like one that does not exist, at every address", async () => {
    expect(await machinesOf(tokenOfBob)).toEqual([]);
    const { slug } = await serverOf(tokenOfAda, "echo");
    const unknown = slug.replace("echo", "ohce");
    const body = '{"jsonrpc":"2.0","id":1,"method":"tools/list"}';
    const headers = { "content-type": "application/json", accept: "application/json, text/event-stream" };
    for (const path of ["mcp", "operator/state", "operator/call", "link"])
      for (const authorization of [`Bearer ${tokenOfBob}`, "Bearer nonsense", ""])
        for (const method of ["POST", "GET"]) {
          const ask = async (name: string) => {
            const sent = { method, headers: { ...headers, authorization }, body: method === "POST" ? body : "" };
            const { status, text } = await send(new URL(`/m/${name}/${path}`, operator.url), sent);
            return { status, text: text.replaceAll(name, "<server>") };
          };
          const there = await ask(slug);
          expect([path, there.status]).toEqual([path, expect.toBeOneOf([401, 404])]);
          expect(there).toEqual(await ask(unknown));
        }
    expect(await callTool(tokenOfBob, "echo", "echo", { message: "x" })).toContain("machine_unknown");
  });

  test("the same name is free and makes a server of its own", async () => {
    const folder = await folderWith("echo-of-bob", NOSY("of bob"));
    expect((await servers(tokenOfBob, ["deploy", folder, "--name", "echo"])).stdout).toContain("tools/list -> look");
    expect(await callTool(tokenOfAda, "echo", "echo", { message: "mine" })).toBe("echo: mine");
    for (const args of [
      ["rollback", "nosy"],
      ["delete", "nosy"],
      ["secret", "list", "nosy"],
    ]) {
      const { code, stderr } = await servers(tokenOfBob, args);
      expect([args, code, stderr]).toEqual([args, 1, expect.stringContaining('You have no hosted server "nosy"')]);
    }
    const deleted = await servers(tokenOfBob, ["delete", "echo"]);
    expect(deleted.code, deleted.stderr).toBe(0);
    expect(await callTool(tokenOfAda, "echo", "echo", { message: "still" })).toBe("echo: still");
  });
});

describe("a server with third-party code", () => {
  test("gets its own vars and objects and nothing of Operator's, and cannot reach this computer", async () => {
    const { stderr } = await servers(tokenOfAda, ["deploy", await folderWith("nosy", NOSY("one"))]);
    expect(stderr).toBe("");
    expect(await look({ url: `${operator.url}/api/health` })).toEqual({
      version: "one",
      env: ["COLOUR", "COUNTER", "SIZES"],
      secret: null,
      count: 1,
      headers: [],
      reached: "refused",
    });
  });

  test("cannot present its answers as Operator's own", async () => {
    const { mcpUrl } = await serverOf(tokenOfAda, "nosy");
    const headers = { "content-type": "application/json", accept: "application/json", ...bearer(tokenOfAda) };
    const answer = await send(new URL(mcpUrl), { headers, body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}' });
    expect([answer.status, answer.headers["x-operator-error"]]).toEqual([200, undefined]);
  });

  test.each(["hang", "socket"])(
    "that never answers (%s) fails its own call with an error of Operator's",
    async (name) => {
      const { mcpUrl } = await serverOf(tokenOfAda, "nosy");
      const headers = { "content-type": "application/json", accept: "application/json", ...bearer(tokenOfAda) };
      const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method: "tools/call", params: { name, arguments: {} } });
      const { status, text } = await send(new URL(mcpUrl), { headers, body });
      expect([status, JSON.parse(text)]).toEqual([
        502,
        {
          jsonrpc: "2.0",
          id: 7,
          error: expect.objectContaining({ data: expect.objectContaining({ code: "machine_failed" }) }),
        },
      ]);
      expect(await callTool(tokenOfAda, "nosy", name, {})).toContain("machine_failed");
    },
  );

  test.each([
    ["a service", { services: [{ binding: "CONTROL", service: "operator" }] }, "services"],
    ["a KV namespace of the account", { kv_namespaces: [{ binding: "KV", id: "1" }] }, "kv_namespaces"],
    ["a dispatch namespace", { dispatch_namespaces: [{ binding: "D", namespace: "operator" }] }, "dispatch_namespaces"],
    ["an object of another script", { durable_objects: { bindings: [{ name: "U", class_name: "User", script_name: "operator" }] } }, "script_name"], // prettier-ignore
    ["a name of Operator's own", { vars: { OPERATOR_OWNER: "bob" } }, "OPERATOR_OWNER"],
  ])("that asks for %s is refused", async (_, more, named) => {
    const folder = await folderWith("greedy", NOSY("greedy"), { ...NOSY_CONFIG, name: "greedy", ...more });
    const { code, stderr } = await servers(tokenOfAda, ["deploy", folder]);
    expect([code, stderr]).toEqual([1, expect.stringContaining(named)]);
    expect((await machinesOf(tokenOfAda)).map(({ name }) => name)).not.toContain("greedy");
  });
});

describe("versions", () => {
  test("that do not start leave the previous one running", async () => {
    const folder = await folderWith("nosy", `${NOSY("broken")}\nthrow new Error("broken on purpose");`);
    const { code, stderr } = await servers(tokenOfAda, ["deploy", folder]);
    expect(code).toBe(1);
    expect(stderr).toContain("what was there before is unchanged");
    expect(stderr).toContain("broken on purpose");
    expect(await look()).toMatchObject({ version: "one" });
  });

  test("replace each other, keep secrets and storage, and can be rolled back", async () => {
    expect((await servers(tokenOfAda, ["secret", "put", "nosy", "API_KEY"], "s3cret\n")).stdout).toBe(
      "API_KEY is set\n",
    );
    expect((await servers(tokenOfAda, ["deploy", await folderWith("nosy", NOSY("two"))])).code).toBe(0);
    expect(await look()).toMatchObject({ version: "two", secret: "s3cret", count: 3 });
    expect((await servers(tokenOfAda, ["rollback", "nosy"])).stdout).toBe("nosy: version 1 answers again\n");
    expect(await look()).toMatchObject({ version: "one", secret: "s3cret", count: 4 });
    expect((await servers(tokenOfAda, ["rollback", "nosy", "2"])).code).toBe(0);
    expect(await look()).toMatchObject({ version: "two", count: 5 });
    expect((await servers(tokenOfAda, ["secret", "list", "nosy"])).stdout).toBe("API_KEY\n");
    expect((await servers(tokenOfAda, ["secret", "delete", "nosy", "API_KEY"])).code).toBe(0);
    // The platform may go on running the script as it was, and cuts the call that is under way when it changes over.
    const withoutIt = async (): Promise<boolean> => (await look())["secret"] === null;
    await until("the script without the secret", () => withoutIt().catch(() => false));
    const { stderr } = await servers(tokenOfAda, ["secret", "put", "nosy", "OPERATOR_OWNER"], "bob");
    expect(stderr).toContain("cannot be a secret's name");
    // Within Operator's limit in characters, and beyond the platform's in bytes, which says so.
    const { stderr: tooLong } = await servers(tokenOfAda, ["secret", "put", "nosy", "LONG"], "ä".repeat(5_000));
    expect(tooLong).toContain("the secret was not changed");
    expect(tooLong).toContain("5120 bytes");
  });

  test("survive a restart of Operator", async () => {
    await operator.stop();
    await operator.start({});
    expect(await look()).toMatchObject({ version: "two" });
  });
});

test("a machine and a server cannot have the same name, whichever came first", async () => {
  const identity = "identity-of-the-computer";
  const taken = await operator.api("POST", "/api/machines", { name: "nosy", identity }, tokenOfAda);
  expect(taken).toMatchObject({ status: 400, body: { error: { message: expect.stringContaining("hosted server") } } });
  await operator.api("POST", "/api/machines", { name: "attic", identity }, tokenOfAda);
  const folder = await folderWith("nosy", NOSY("three"));
  const { stderr } = await servers(tokenOfAda, ["deploy", folder, "--name", "attic"]);
  expect(stderr).toContain('"attic" is one of your machines');
});

test("a deleted server loses its storage, and its name starts empty", async () => {
  const { slug } = await serverOf(tokenOfAda, "nosy");
  const gone = await servers(tokenOfAda, ["delete", "nosy"]);
  expect([gone.stdout, gone.stderr]).toEqual(["nosy is deleted\n", ""]);
  expect((await machinesOf(tokenOfAda)).map(({ name }) => name)).not.toContain("nosy");
  const scripts = await readdir(join(operator.folder, "state/platform/namespaces/operator/scripts"));
  expect(scripts).not.toContain(slug);
  const { stdout } = await servers(tokenOfAda, ["deploy", await folderWith("nosy", NOSY("again"))]);
  expect(stdout).toContain("version 1");
  expect(await look()).toMatchObject({ version: "again", count: 1, secret: null });
});
