// Root cause: everybody who arrived at 127.0.0.1 without a token was the owner, and so were other users of the computer, pages
// that any program on it serves, and everybody who came through a reverse proxy.
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { chmodSync, chownSync, copyFileSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { createServer, request, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from "vitest";
import { ExitCode } from "../../../scripts/codez/exit-code.ts";
import { operatorFile } from "../../../scripts/system/operators-folder.ts";
import { peerBin } from "../../peers/bin.ts";
import "../../end-to-end/support/bundles.ts";
import { until } from "../../end-to-end/support/eventually.ts";
import { unusedPort } from "../../support/unused-port.ts";

const run = promisify(execFile);

const START = fileURLToPath(new URL("../../../scripts/local/start.ts", import.meta.url));
const CODEZ = fileURLToPath(new URL("../../../scripts/codez/bin.js", import.meta.url));

/** `nobody`, on every Linux. */
const NOBODY = 65_534;
const isRoot = process.getuid?.() === 0;

const LIST = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} });
const MCP = { "content-type": "application/json", accept: "application/json, text/event-stream" };

let folder: string;
let home: string;
let url: string;
let operator: ChildProcess;
let printed = "";

/** What `codez` and `npm start` of one person have in common: a home folder, and nothing that CODEZ_* says. */
function environment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(CODEZ|OPERATOR)_/.test(name)));
  return { ...clean, HOME: home, CI: "1", ...more };
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "operator-local-callers-"));
  home = join(folder, "home");
  mkdirSync(home, { mode: 0o755 });
  chmodSync(folder, 0o755); // another user gets as far as the home folder, as usual
  const port = await unusedPort();
  url = `http://127.0.0.1:${port}`;
  operator = spawn(process.execPath, [START, "--port", String(port)], {
    env: environment({ OPERATOR_STATE: join(folder, "state"), OPERATOR_BUNDLES: inject("bundles") }),
    stdio: ["ignore", "pipe", "pipe"],
  });
  for (const stream of [operator.stdout, operator.stderr])
    stream?.setEncoding("utf8").on("data", (text: string) => (printed += text));
  await until("Operator runs", () => printed.includes("Operator is running"));
});

async function stop(): Promise<void> {
  if (operator.exitCode !== null || operator.signalCode !== null) return;
  const ended = new Promise((resolve) => operator.once("exit", resolve));
  operator.kill();
  await ended;
}

afterAll(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

const tokenFile = (): string => operatorFile(url, "token", join(home, ".codez")) ?? "";
const token = (): string => readFileSync(tokenFile(), "utf8").trim();

type Said = { status: number; text: string };

/** A request with any headers, including those that `fetch` forbids. */
function ask(base: string, path: string, headers: Record<string, string> = {}, method = "GET", body?: string) {
  return new Promise<Said>((resolve, reject) => {
    const outgoing = request(new URL(path, base), { method, agent: false, headers }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, text }));
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Everything that somebody would try first who is on this computer and has no token. */
async function everything(base: string, headers: Record<string, string> = {}): Promise<number[]> {
  const machine = JSON.stringify({ name: "evil", identity: "identity-of-somebody" });
  const label = JSON.stringify({ label: "evil" });
  const answers = [
    await ask(base, "/api/me", headers),
    await ask(base, "/api/machines", headers),
    await ask(base, "/api/audit", headers),
    await ask(base, "/api/events", headers),
    await ask(base, "/api/machines", { ...headers, "content-type": "application/json" }, "POST", machine),
    await ask(base, "/api/tokens", { ...headers, "content-type": "application/json" }, "POST", label),
    await ask(base, "/api/tokens", { ...headers, "content-type": "text/plain" }, "POST", label),
    await ask(base, "/mcp", { ...headers, ...MCP }, "POST", LIST),
    await ask(base, "/m/attic/mcp", { ...headers, ...MCP }, "POST", LIST),
  ];
  return answers.map(({ status }) => status);
}

const REFUSED = Array.from({ length: 9 }, () => 401);

describe("arriving from 127.0.0.1 makes nobody the owner:", () => {
  test("neither a caller without a token nor one with a wrong token", async () => {
    expect(await everything(url)).toEqual(REFUSED);
    const [, secret = ""] = /^opr_owner_(.+)$/.exec(token()) ?? [];
    for (const wrong of [
      `opr_owner_${"A".repeat(43)}`,
      `opr_ada_${secret}`,
      secret,
      `${token()}x`,
      token().slice(0, -1),
    ])
      expect(await everything(url, { authorization: `Bearer ${wrong}` }), wrong).toEqual(REFUSED);
    // The token is not accepted in a URL, which histories record, or a cookie, which browsers send by themselves.
    expect((await ask(url, `/api/me?token=${token()}&access_token=${token()}`)).status).toBe(401);
    expect((await ask(url, "/api/me", { cookie: `token=${token()}` })).status).toBe(401);
  });

  test.each([
    ["a page on another port of this computer", { origin: "http://127.0.0.1:3000", "sec-fetch-site": "same-site" }],
    ["a page under the name localhost", { origin: "http://localhost:3000", "sec-fetch-site": "cross-site" }],
    ["a page on the internet", { origin: "https://evil.example", "sec-fetch-site": "cross-site" }],
    ["a sandboxed frame", { origin: "null", "sec-fetch-mode": "navigate" }],
    ["a page that claims to be Operator's own", { "sec-fetch-site": "same-origin", referer: "http://127.0.0.1/" }],
  ])("%s", async (_, headers: Record<string, string>) => {
    for (const answer of await everything(url, headers)) expect([401, 403]).toContain(answer);
    const own = await everything(url, { ...headers, ...(headers["origin"] === undefined ? { origin: url } : {}) });
    for (const answer of own) expect([401, 403]).toContain(answer);
  });

  test("a reverse proxy that sets no header, like nginx with a bare proxy_pass", async () => {
    const proxy = createServer((incoming, outgoing) => {
      const target = new URL(incoming.url ?? "/", url);
      const { host: _, ...headers } = incoming.headers;
      const upstream = request(target, { method: incoming.method ?? "GET", headers }, (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      });
      incoming.pipe(upstream);
    });
    const base = await listening(proxy);
    expect(await everything(base)).toEqual(REFUSED);
  });

  test.skipIf(!isRoot)("another Unix user, who cannot read the token", async () => {
    const script = `
      const paths = ["/api/me", "/api/machines", "/api/tokens", "/api/audit"];
      const statuses = await Promise.all(paths.map(async (path) => (await fetch(${JSON.stringify(url)} + path)).status));
      const made = await fetch(${JSON.stringify(`${url}/api/tokens`)}, { method: "POST", body: '{"label":"x"}', headers: { "content-type": "application/json" } });
      const { readFileSync, readdirSync } = await import("node:fs");
      const codes = [];
      for (const read of [() => readFileSync(${JSON.stringify(tokenFile())}), () => readdirSync(${JSON.stringify(dirname(tokenFile()))}),
        () => readFileSync(${JSON.stringify(join(folder, "state", "secrets.json"))})])
        try { read(); codes.push("read"); } catch (error) { codes.push(error.code); }
      console.log(JSON.stringify({ uid: process.getuid(), statuses, made: made.status, codes }));`;
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], {
      uid: NOBODY,
      gid: NOBODY,
      cwd: "/",
      env: { PATH: process.env["PATH"] ?? "" },
    });
    expect(JSON.parse(stdout)).toEqual({
      uid: NOBODY,
      statuses: [401, 401, 401, 401],
      made: 401,
      codes: ["EACCES", "EACCES", "EACCES"],
    });
  });
});

describe("the owner's own programs", () => {
  test("find the token in a private file, and the output shows only its path", async () => {
    expect(statSync(tokenFile()).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(tokenFile())).mode & 0o777).toBe(0o700);
    expect(printed).not.toContain(token());
    expect(printed).toContain("$(cat ~/.codez/operators/127.0.0.1-");
    expect(readFileSync(join(folder, "state", "operator.log"), "utf8")).not.toContain(token());
  });

  test("can paste the line for Claude Code into a shell, and its header lets Claude Code in", async () => {
    const header = /^ +Claude Code .*--header ("Authorization: Bearer .*")$/m.exec(printed)?.[1] ?? "";
    const { stdout } = await run("sh", ["-c", `printf %s ${header}`], { env: environment() });
    const [name = "", value = ""] = stdout.split(": ");
    expect(name).toBe("Authorization");
    expect((await ask(url, "/mcp", { ...MCP, [name]: value }, "POST", LIST)).status).toBe(200);
    expect(JSON.parse((await ask(url, "/api/me", { [name]: value })).text)).toMatchObject({ user: "owner" });
  });

  test("such as codez add this computer as the README says, without a question", async () => {
    const server = [process.execPath, peerBin("mcp-server-everything"), "stdio"];
    for (const hub of [url, url.replace("127.0.0.1", "localhost")]) {
      const { stdout } = await run(process.execPath, [CODEZ, "setup", "attic", "--", ...server], {
        env: environment({ CODEZ_HUB: hub }),
      });
      expect(stdout).toContain(`"attic" is online at ${url}`);
    }
    // This also holds after the files of codez were moved: the token still belongs to the same Operator.
    const moved = environment({ CODEZ_HUB: url, CODEZ_HOME: join(folder, "moved") });
    expect((await run(process.execPath, [CODEZ, "machines"], { env: moved })).stdout).toContain("attic");
  });
});

describe("a token belongs to one address and one Operator", () => {
  /** A program of somebody else that listens where an Operator listened before. It notes what it was shown. */
  async function squatter(answer = "{}"): Promise<{ base: string; seen: IncomingHttpHeaders[] }> {
    const seen: IncomingHttpHeaders[] = [];
    const base = await listening(
      createServer((incoming, outgoing) => {
        seen.push(incoming.headers);
        outgoing.writeHead(200, { "content-type": "application/json" }).end(answer);
      }),
    );
    return { base, seen };
  }

  async function codez(base: string): Promise<{ code: number; stderr: string }> {
    const env = environment({ CODEZ_HUB: base });
    return run(process.execPath, [CODEZ, "machines"], { env }).then(
      ({ stderr }) => ({ code: 0, stderr }),
      ({ code, stderr }: { code: number; stderr: string }) => ({ code, stderr }),
    );
  }

  function leaveFor(base: string): string {
    const path = operatorFile(base, "token", join(home, ".codez")) ?? "";
    copyFileSync(tokenFile(), path);
    chmodSync(path, 0o600);
    onTestFinished(() => rmSync(path, { force: true }));
    return path;
  }

  test("codez does not send it to another address", async () => {
    const { base, seen } = await squatter();
    await codez(base);
    expect(seen.length).toBeGreaterThan(0);
    expect(JSON.stringify(seen)).not.toContain(token());
  });

  test("codez sends it neither to a program that took the port of an ended Operator, nor to one that forwards another Operator's proof", async () => {
    const { base, seen } = await squatter(JSON.stringify({ proof: "A".repeat(43) }));
    leaveFor(base);
    await codez(base);
    expect(seen.length).toBeGreaterThan(0);
    expect(JSON.stringify(seen)).not.toContain(token());

    const passedOn: IncomingHttpHeaders[] = [];
    const middle = await listening(
      createServer((incoming, outgoing) => {
        passedOn.push(incoming.headers);
        void ask(url, incoming.url ?? "/").then(({ status, text }) => outgoing.writeHead(status).end(text));
      }),
    );
    leaveFor(middle);
    await codez(middle);
    expect(passedOn.length).toBeGreaterThan(0);
    expect(JSON.stringify(passedOn)).not.toContain(token());
  });

  test("codez does not use a token file that others can read or change, and says what to do", async () => {
    const { base, seen } = await squatter();
    const path = leaveFor(base);
    chmodSync(path, 0o644);
    const refused = await codez(base);
    expect(refused.code).toBe(ExitCode.FILE_BROKEN);
    expect(refused.stderr).toContain(path);
    expect(seen).toEqual([]);
  });
});

test("an Operator with new secrets refuses the old token", async () => {
  const path = join(folder, "state", "secrets.json");
  const secrets = JSON.parse(readFileSync(path, "utf8")) as Record<string, string>;
  expect(secrets["OWNER_TOKEN"]).toBe(token());
  const port = await unusedPort();
  const other = join(folder, "other-state");
  mkdirSync(other, { mode: 0o700 });
  writeFileSync(join(other, "secrets.json"), JSON.stringify({ ...secrets, OWNER_TOKEN: undefined }), { mode: 0o600 });
  const child = spawn(process.execPath, [START, "--port", String(port)], {
    env: environment({ OPERATOR_STATE: other, OPERATOR_BUNDLES: inject("bundles") }),
    stdio: ["ignore", "pipe", "ignore"],
  });
  onTestFinished(async () => {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill();
    await ended;
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  await until("the other Operator runs", () => said.includes("Operator is running"));
  const base = `http://127.0.0.1:${port}`;
  expect((await ask(base, "/api/me", { authorization: `Bearer ${token()}` })).status).toBe(401);
  const own = readFileSync(operatorFile(base, "token", join(home, ".codez")) ?? "", "utf8").trim();
  expect((await ask(base, "/api/me", { authorization: `Bearer ${own}` })).status).toBe(200);
});

// The last one, because it ends Operator.
test.skipIf(!isRoot)("another user's machine knows Operator by its key, and nothing else at its port", async () => {
  const theirs = join(folder, "theirs");
  mkdirSync(theirs, { mode: 0o700 });
  chownSync(theirs, NOBODY, NOBODY);
  const program = join(folder, "codez.mjs"); // where that user can read it
  copyFileSync(join(dirname(CODEZ), "build", "codez.js"), program);
  const authorization = `Bearer ${token()}`;
  const json = { authorization, "content-type": "application/json" };
  const made = await ask(url, "/api/tokens", json, "POST", JSON.stringify({ label: "theirs" }));
  const { token: given } = JSON.parse(made.text) as { token: string };
  const asThem = (...args: string[]) =>
    [
      process.execPath,
      [program, ...args],
      {
        uid: NOBODY,
        gid: NOBODY,
        cwd: "/",
        env: { PATH: process.env["PATH"] ?? "", HOME: theirs, CI: "1", CODEZ_HUB: url, CODEZ_HUB_TOKEN: given },
      },
    ] as const;
  const setUp = await run(...asThem("setup", "theirs", "--", "true"));
  expect(setUp.stdout).toContain(`"theirs" is online at ${url}`);
  expect(setUp.stderr.match(/is known by its key from now on/g)).toHaveLength(1);

  await stop();
  const seen: string[] = [];
  const taker = createServer((incoming, outgoing) => {
    seen.push(`${new URL(incoming.url ?? "", url).pathname} ${incoming.headers.authorization ?? ""}`);
    outgoing.writeHead(404).end("{}");
  });
  await listening(taker, Number(new URL(url).port));
  const told = expect.stringContaining("this computer's Operator does not answer");
  await expect(run(...asThem("machines"))).rejects.toMatchObject({ stderr: told });
  await expect(run(...asThem("status"))).rejects.toMatchObject({ stderr: told });
  const connector = spawn(...asThem("connect"));
  onTestFinished(() => void connector.kill());
  let said = "";
  connector.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
  await until("the connector says why it is offline", () => said.includes("this computer's Operator does not answer"));
  expect(new Set(seen)).toEqual(new Set(["/api/local "]));
});

/** Its address; it ends with the test. */
async function listening(server: Server, port = 0): Promise<string> {
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
