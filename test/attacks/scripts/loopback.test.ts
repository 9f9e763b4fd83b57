// Root cause: every caller at 127.0.0.1:4097 was taken for the owner, though other users of the computer and web pages
// arrive from there as well.
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { makeTarget } from "../../../scripts/codez/make-target.ts";
import { DEFAULT_TARGET_URL } from "../../../scripts/codez/profile/profile.ts";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";
import { targetFetch } from "../../../scripts/connector/target-fetch.ts";
import { ownServe } from "../../../scripts/serve/own-token.ts";
import { peerBin } from "../../peers/bin.ts";
import { TestMachine, until } from "../../scripts/serve/support/machine.ts";

const run = promisify(execFile);
const LIST = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list", params: {} });
const ACCEPT = { accept: "application/json, text/event-stream", "content-type": "application/json" };

let machine: TestMachine;
let home: string;

beforeAll(async () => {
  machine = await TestMachine.start();
  home = join(machine.home, ".codez");
});
afterAll(() => machine[Symbol.asyncDispose]());

type Said = { status: number; headers: Record<string, unknown>; text: string };

/** A request with any headers, including those that `fetch` forbids. */
function ask(headers: Record<string, string>, { method = "POST", path = "/mcp" } = {}): Promise<Said> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      new URL(path, machine.url),
      { method, agent: false, headers: { ...ACCEPT, ...headers } },
      (incoming) => {
        let text = "";
        incoming.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        incoming.on("end", () => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text }));
      },
    );
    outgoing.on("error", reject);
    outgoing.end(method === "POST" ? LIST : undefined);
  });
}

function doorToken(): string {
  return (JSON.parse(readFileSync(join(home, "serve", "running.json"), "utf8")) as { token: string }).token;
}

describe("without the token", () => {
  test.each([
    ["GET", "//"],
    ["GET", "http://["],
    ["TRACE", "/mcp"],
  ])("%s %s is a bad request, and no fault that pushes others out of what health tells", async (method, target) => {
    const socket = connect(Number(new URL(machine.url).port), "127.0.0.1").setEncoding("utf8");
    socket.end(`${method} ${target} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`);
    const [answer] = (await once(socket, "data")) as [string];
    expect(answer).toContain("400 Bad Request");
  });

  test.each([
    ["nothing", {}],
    ["an empty token", { authorization: "Bearer " }],
    ["another token", { authorization: `Bearer ${"x".repeat(43)}` }],
    ["another scheme", { authorization: "Basic eDp4" }],
    ["a forwarded address", { "x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "operator-local-call": "1" }],
  ])("%s is refused at both endpoints", async (_, headers) => {
    const refused = await ask(headers);
    expect(refused.status).toBe(401);
    expect(refused.text).not.toContain("create_session");
    expect(refused.text).not.toContain(machine.home);
    for (const method of ["GET", "POST", "DELETE"]) {
      expect((await ask(headers, { method, path: "/local/permissions" })).status).toBe(401);
      expect((await ask(headers, { method })).status).toBe(401);
    }
  });

  test("the refusal says what to add and where to find it", async () => {
    const { text, headers } = await ask({});
    expect(text).toContain("--header");
    expect(text).toContain("~/.codez/serve/token");
    expect(headers["www-authenticate"]).toMatch(/^Bearer/);
  });

  test("one endpoint's token does not open the other", async () => {
    expect((await ask({ authorization: `Bearer ${doorToken()}` })).status).toBe(401);
    const mcp = { ...machine.authorization };
    expect((await ask(mcp, { method: "GET", path: "/local/permissions" })).status).toBe(401);
    expect((await ask(mcp)).status).toBe(200);
  });
});

test("a web page is refused, with or without the token", async () => {
  const port = new URL(machine.url).port;
  const pages = ["http://localhost:6274", "http://127.0.0.1:3000", "https://evil.example", "null", "http://localhost"];
  for (const origin of pages) {
    for (const more of [{}, { host: `localhost:${port}` }, { "sec-fetch-site": "same-site" }]) {
      expect((await ask({ ...machine.authorization, origin, ...more })).status).toBe(403);
    }
  }
  expect((await ask({ ...machine.authorization, host: "evil.example" })).status).toBe(403);
  // The preflight of a browser. Without permission in the answer it does not send the request.
  const preflight = await ask({ origin: pages[0] ?? "" }, { method: "OPTIONS" });
  expect(preflight.headers["access-control-allow-origin"]).toBeUndefined();
});

// Only root can become another user.
test.runIf(process.getuid?.() === 0)("another Unix user can read neither the token nor an answer", async () => {
  const as = (...command: string[]) =>
    run("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", ...command]).then(
      ({ stdout }) => stdout,
      (error: { stdout?: string }) => error.stdout ?? "",
    );
  chmodSync(machine.home, 0o755); // as home folders are on many systems
  for (const file of ["token", "running.json", "permissions.json", "sessions.json", "index.db"]) {
    expect(await as("cat", join(home, "serve", file))).toBe("");
  }
  expect(await as("cat", `/proc/${machine.pid}/environ`)).toBe("");
  const curl = ["curl", "-s", "-X", "POST", "-H", "content-type: application/json", "-d", LIST, machine.url];
  expect(await as(...curl)).not.toContain("create_session");
  expect(await as("curl", "-s", machine.url.replace("/mcp", "/local/permissions"))).not.toContain("requests");
});

test("the token survives a restart, is readable only by its owner, and is replaced if others could read it", async () => {
  const path = join(home, "serve", "token");
  const before = readFileSync(path, "utf8");
  expect(statSync(path).mode & 0o777).toBe(0o600);
  await machine.stop();
  await machine.serve();
  expect(readFileSync(path, "utf8")).toBe(before);
  for (const spoil of [() => chmodSync(path, 0o644), () => writeFileSync(path, "short\n")]) {
    await machine.stop();
    spoil();
    await machine.serve();
    expect(readFileSync(path, "utf8")).not.toBe(before);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  }
});

describe("callers with access", () => {
  test("the printed line works in the real Claude Code and shows no secret", async () => {
    const line = await until("the line", () => /Add it to Claude Code: {2}(.*)\n/.exec(machine.output)?.[1]);
    const token = readFileSync(join(home, "serve", "token"), "utf8").trim();
    expect(machine.output).not.toContain(token);
    expect(line).toMatch(/^claude mcp add --transport http codez /);
    await run("sh", ["-c", line.replace(/^claude/, peerBin("claude"))], {
      env: machine.env,
      cwd: machine.repo("repo"),
    });
    const { stdout } = await run(peerBin("claude"), ["mcp", "list"], { env: machine.env, cwd: machine.repo("repo") });
    expect(stdout).toMatch(/codez: .*Connected/);
  });

  test("a connector of the same user needs no setting, and one with another home folder is told what is wrong", async () => {
    const call = async (codezHome: string) => {
      const before = process.env["CODEZ_HOME"];
      process.env["CODEZ_HOME"] = codezHome;
      const target = makeTarget({ kind: "url", url: machine.url }, "attic");
      if (before === undefined) delete process.env["CODEZ_HOME"];
      else process.env["CODEZ_HOME"] = before;
      try {
        const fetch = targetFetch(target, { failed: () => undefined, postEnded: () => undefined });
        const response = await fetch("http://target/mcp", { method: "POST", headers: ACCEPT, body: LIST });
        return { status: response.status, text: await response.text() };
      } finally {
        await target.close();
      }
    };
    expect((await call(home)).text).toContain("create_session");
    const stranger = await call(join(machine.home, "elsewhere"));
    expect(stranger.status).not.toBe(401);
    expect(stranger.text).toContain("requires its token");
  });

  test("codez never sends the token to the public CodeZ or another server on that port", async () => {
    const seen: unknown[] = [];
    const other: Server = createServer((incoming, outgoing) => {
      seen.push(incoming.headers.authorization);
      outgoing.end("{}");
    });
    other.listen(0, "127.0.0.1");
    await once(other, "listening");
    const { port } = other.address() as { port: number };
    expect(ownServe(new URL(`http://127.0.0.1:${port}/mcp`), false, home)?.authorization()).toBeNull();
    for (const address of [`http://10.0.0.1:${new URL(machine.url).port}/mcp`, machine.url.replace("http", "https")]) {
      expect(ownServe(new URL(address), false, home)).toBeNull();
    }
    // serve listens at 127.0.0.1 only, and another user's program may listen on the same port at the other address of this computer.
    for (const host of ["localhost", "[::1]"])
      expect(ownServe(new URL(machine.url.replace("127.0.0.1", host)), false, home)).toBeNull();
    // serve was killed, another program has its port, and yet another its process id.
    const dead = spawn("true");
    await once(dead, "exit");
    const running = JSON.parse(readFileSync(join(home, "serve", "running.json"), "utf8")) as object;
    const stale = join(machine.home, "stale");
    mkdirSync(join(stale, "serve"), { recursive: true });
    for (const life of [{ pid: dead.pid }, { pid: process.pid, started: "1" }]) {
      writeFileSync(join(stale, "serve", "running.json"), JSON.stringify({ ...running, port, ...life }));
      expect(ownServe(new URL(`http://127.0.0.1:${port}/mcp`), false, stale)?.authorization()).toBeNull();
    }
    const target = makeTarget({ kind: "url", url: `http://127.0.0.1:${port}/mcp` }, "attic");
    const fetch = targetFetch(target, { failed: () => undefined, postEnded: () => undefined });
    await fetch("http://target/mcp", { method: "POST", headers: ACCEPT, body: LIST });
    expect(seen).toEqual([undefined]);
    await target.close();
    other.close();
  });

  test("whoever takes its port the moment it ends gets no token, and no request that was meant for it", async () => {
    const seen: unknown[] = [];
    const squatter = createServer((incoming, outgoing) => {
      seen.push(incoming.headers.authorization);
      outgoing.end("{}");
    }).listen(0, "127.0.0.1");
    await once(squatter, "listening");
    const { port } = squatter.address() as { port: number };
    const ending = spawn("sleep", ["60"]);
    const stale = join(machine.home, "ending");
    mkdirSync(join(stale, "serve"), { recursive: true, mode: 0o700 });
    const running = { pid: ending.pid, started: null, port, token: "door", mcpToken: "secret" };
    writeFileSync(join(stale, "serve", "running.json"), JSON.stringify(running), { mode: 0o600 });
    const url = new URL(`http://127.0.0.1:${port}/mcp`);
    const known = ownServe(url, false, stale);
    expect(known?.authorization()).toBe("Bearer secret");
    ending.kill("SIGKILL");
    await once(ending, "exit");
    const target = new HttpTarget(url, "attic", "Start it.", known);
    const fetch = targetFetch(target, { failed: () => undefined, postEnded: () => undefined });
    const call = async () => (await fetch("http://target/mcp", { method: "POST", headers: ACCEPT, body: LIST })).text();
    expect(await call()).toContain("codez serve has just ended");
    expect(seen).toEqual([]);
    // As for any other server on this port.
    expect(await call()).toBe("{}");
    expect(seen).toEqual([undefined]);
    await target.close();
    squatter.close();
  });

  // Only root can become another user.
  test.runIf(process.getuid?.() === 0)("another user's program at serve's port gets no request at all", async () => {
    const listen = `
      const server = require("node:http").createServer((incoming, outgoing) => {
        console.log("asked");
        outgoing.end("{}");
      });
      server.listen(0, "127.0.0.1", () => console.log(server.address().port));`;
    const squatter = spawn("node", ["-e", listen], {
      uid: 65_534,
      gid: 65_534,
      cwd: "/",
      stdio: ["ignore", "pipe", "inherit"],
    });
    let said = "";
    squatter.stdout.setEncoding("utf8").on("data", (text: string) => (said += text));
    const port = await until("its port", () => /^\d+/.exec(said)?.[0]);
    const elsewhere = join(machine.home, "squatted");
    mkdirSync(elsewhere, { mode: 0o700 });
    writeFileSync(join(elsewhere, "serve.json"), JSON.stringify({ port: Number(port) }), { mode: 0o600 });
    vi.stubEnv("CODEZ_HOME", elsewhere);
    const answerAt = async (url: string) => {
      const target = makeTarget({ kind: "url", url }, "attic");
      const fetch = targetFetch(target, { failed: () => undefined, postEnded: () => undefined });
      const response = await fetch("http://target/mcp", { method: "POST", headers: ACCEPT, body: LIST });
      await target.close();
      return response.text();
    };
    try {
      expect(await answerAt(DEFAULT_TARGET_URL)).toContain("another user's program has the port of codez serve");
      // A server that the person named may run as another user.
      expect(await answerAt(`http://127.0.0.1:${port}/mcp`)).toBe("{}");
      expect(said.match(/asked/g)).toEqual(["asked"]);
    } finally {
      vi.unstubAllEnvs();
      squatter.kill();
      await once(squatter, "exit");
    }
  });
});
