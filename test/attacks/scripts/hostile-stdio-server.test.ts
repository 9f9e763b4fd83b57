import * as fc from "fast-check";
import { createServer } from "node:http";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { HttpTarget } from "../../../scripts/connector/http-target.ts";
import { membersOf } from "../../../scripts/connector/stdio/json-span.ts";
import type { Answer, Target } from "../../../scripts/connector/target.ts";
import type { HeaderList } from "#protocol/header.ts";
import { StdioTarget } from "../../../scripts/connector/stdio/stdio-target.ts";
import { UnfinishedLine } from "../../../scripts/system/unfinished-line.ts";
import { targetFetch } from "../../../scripts/connector/target-fetch.ts";
import { lifeOf } from "../../../scripts/system/process-start.ts";
import { awaited } from "../../support/awaited.ts";
import { temporaryFolder } from "../../scripts/connector/support/temporary-folder.ts";
import { EventSize } from "../../../scripts/system/event-size.ts";
import { connect } from "../../scripts/connector/support/connected.ts";
import { LegacyClient } from "../../scripts/connector/stdio/support/stdio-client.ts";

/**
 * A server's lines were read where nothing caught an error, so one that is not JSON ended the connector, with the calls of all others. What
 * waited for a server's client, or for the server itself, was counted in messages and not in bytes.
 */

/** The beginning of a server that a test finishes: `say` writes a message, `heard` is called with each. */
const SERVER = `
  const say = (text) => process.stdout.write(text + "\\n");
  const answer = (id, result) => say(JSON.stringify({ jsonrpc: "2.0", id, result }));
  require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
    const message = JSON.parse(line);
    if (message.method === "initialize")
      answer(message.id, { protocolVersion: "2025-11-25", capabilities: {}, serverInfo: { name: "evil", version: "1" } });
    heard(message);
  });
`;

function targetOf(program: string): StdioTarget {
  return new StdioTarget({ command: process.execPath, args: ["-e", SERVER + program], cwd: process.cwd() }, "attic");
}

const META = '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}';

describe("a server that says which revisions it speaks", () => {
  it.each([
    ["in what is not JSON", '{"jsonrpc":"2.0","id":"codez-discover","result":{"supportedVersions":bogus}}'],
    [
      "in objects",
      '{"jsonrpc":"2.0","id":"codez-discover","result":{"supportedVersions":[{"toString":1,"valueOf":1}]}}',
    ],
    ["in half a list", '{"jsonrpc":"2.0","id":"codez-discover","result":{"supportedVersions":["2026-07-28"}}'],
    ["in a number", '{"jsonrpc":"2.0","id":"codez-discover","result":{"supportedVersions":[99999999]}}'],
  ])("%s ends no other call", async (_, line) => {
    await using made = await connect(
      targetOf(`function heard({ method }) { if (method === "server/discover") say(${JSON.stringify(line)}); }`),
    );
    const answer = await made.link.call({}, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{${META}}}`);
    // It is taken for a server of an earlier revision, at which every call has a session.
    expect([answer.status, answer.text]).toEqual([400, expect.stringContaining("Mcp-Session-Id header is required")]);
    // The connector is there, and so is its link.
    expect((await LegacyClient.open(made.link)).headers).toContainEqual(["mcp-session-id", expect.any(String)]);
    expect(made.script.dials).toHaveLength(1);
  });
});

/** What a request to a target gets, as a link would pass it on to a client that reads everything. */
async function ask(target: Target, method: string, body = "", session?: string): Promise<Answered> {
  const given: Answered = { status: 0, session: null, bytes: 0 };
  await new Promise<void>((resolve, reject) => {
    const answer: Answer = {
      drained: null,
      cancelled: null,
      isOver: false,
      head: (status, headers) => {
        given.status = status;
        given.session = headers.find(([name]) => name === "mcp-session-id")?.[1] ?? null;
        if (method === "GET") setImmediate(resolve); // a stream, which has sent all that waited
      },
      write: (chunk) => {
        given.bytes += chunk.length;
        return true;
      },
      end: () => resolve(),
      fail: (reason) => reject(new Error(reason)),
    };
    const headers: HeaderList = [["accept", "application/json"]];
    if (session !== undefined) headers.push(["mcp-session-id", session]);
    target.serve({ method, query: "", headers, body: Buffer.from(body) }, answer);
  });
  return given;
}
type Answered = { status: number; session: string | null; bytes: number };

async function opened(program: string): Promise<{ target: Target; session: string }> {
  const target = targetOf(program);
  onTestFinished(() => target.close());
  const { session } = await ask(target, "POST", '{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}');
  if (session === null) throw new Error("it has opened no session");
  return { target, session };
}

it("a server's messages that nobody listens to are kept up to 4 MB", async () => {
  const { target, session } = await opened(`function heard({ id, method }) {
    if (method !== "tools/call") return;
    for (let count = 0; count < 20; count += 1)
      say(JSON.stringify({ jsonrpc: "2.0", method: "notifications/message", params: { data: "x".repeat(1_000_000) } }));
    answer(id, {});
  }`);
  await ask(target, "POST", '{"jsonrpc":"2.0","id":1,"method":"tools/call"}', session);
  const { bytes } = await ask(target, "GET", "", session);
  expect(bytes).toBeGreaterThan(4_000_000);
  expect(bytes).toBeLessThan(5_000_000);
});

it("what a server does not read ends it before it fills the memory", async () => {
  const { target, session } = await opened(`setInterval(() => {}, 1_000);
  function heard({ method }) {
    if (method === "notifications/initialized") process.stdin.pause();
  }`);
  await ask(target, "POST", '{"jsonrpc":"2.0","method":"notifications/initialized"}', session);
  const large = JSON.stringify({ jsonrpc: "2.0", method: "notifications/x", params: { data: "x".repeat(12_000_000) } });
  // Some of it fits into the pipe, and is read before the server pauses.
  for (let count = 0; count < 12; count += 1) await ask(target, "POST", large, session);
  await expect.poll(async () => (await ask(target, "POST", large, session)).status).toBe(404); // gone with its server
});

it("a line that does not end ends its server before it fills the memory", async () => {
  const { target, session } = await opened(`function heard({ id, method }) {
    if (method !== "tools/call") return;
    for (let count = 0; count < 70; count += 1) process.stdout.write("x".repeat(1_000_000));
    say("");
    answer(id, {});
  }`);
  const { status } = await ask(target, "POST", '{"jsonrpc":"2.0","id":1,"method":"tools/call"}', session);
  expect(status).toBe(502);
});

it("a server that closes its output, and so can answer nothing any more, is ended with its calls", async () => {
  const { target, session } = await opened(`setInterval(() => {}, 1_000);
  function heard({ method }) {
    if (method === "tools/call") require("node:fs").closeSync(1);
  }`);
  const { status } = await ask(target, "POST", '{"jsonrpc":"2.0","id":1,"method":"tools/call"}', session);
  expect(status).toBe(502);
  expect((await ask(target, "POST", '{"jsonrpc":"2.0","id":2,"method":"tools/list"}', session)).status).toBe(404);
});

it("a process that a server has left behind is not read any more", async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, "pid");
  const left = `require("node:fs").writeFileSync(${JSON.stringify(file)}, String(process.pid));
    setInterval(() => process.stdout.write("{}\\n"), 10);`;
  const { target, session } = await opened(`
    const { spawn } = require("node:child_process");
    const { existsSync } = require("node:fs");
    function heard({ method }) {
      if (method !== "notifications/initialized") return;
      // In a session of its own, with the same pipes.
      spawn(process.execPath, ["-e", ${JSON.stringify(left)}], { detached: true, stdio: "inherit" }).unref();
      setInterval(() => existsSync(${JSON.stringify(file)}) && process.exit(), 10);
    }`);
  await ask(target, "POST", '{"jsonrpc":"2.0","method":"notifications/initialized"}', session);
  await expect.poll(() => existsSync(file)).toBe(true);
  const pid = Number(readFileSync(file, "utf8"));
  onTestFinished(() => void (lifeOf(pid).isAlive && process.kill(pid, "SIGKILL")));
  // Nobody reads what it writes, which ends it.
  await expect.poll(() => lifeOf(pid).isAlive).toBe(false);
});

it("a line that comes in pieces is put together in memory of its own size", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 })), (chunks) => {
      const line = new UnfinishedLine();
      for (const chunk of chunks) line.add(chunk);
      expect(line.length).toBe(Buffer.concat(chunks).length);
      expect(line.take().equals(Buffer.concat(chunks))).toBe(true);
      expect(line.length).toBe(0);
    }),
  );
  const line = new UnfinishedLine();
  for (let count = 0; count < 100_000; count += 1) line.add(Buffer.from("x"));
  expect(line.take().buffer.byteLength).toBeLessThanOrEqual(200_000);
});

it("of an object with many members only those that were asked for are kept", () => {
  const many = Array.from({ length: 1_000 }, (_, number) => `"a${number}":1`).join(",");
  expect([...(membersOf(`{${many},"id":7}`, 0, new Set(["id"])) ?? [])]).toHaveLength(1);
});

it("a server that answers no request of a session gets a limited number of them", async () => {
  const { target, session } = await opened("function heard() {}");
  const call = (id: number): Promise<Answered> =>
    ask(target, "POST", `{"jsonrpc":"2.0","id":${id},"method":"tools/call"}`, session);
  for (let id = 1; id <= 1_000; id += 1) void call(id);
  expect((await awaited("an answer to one request more", call(1_001))).status).toBe(429);
});

it("a request with two ids is refused, since the server may take the other one, which is another client's", async () => {
  const { target, session } = await opened("function heard({ id }) { answer(id, {}); }");
  const twice = '{"jsonrpc":"2.0","id":7,"method":"tools/call","id":8}';
  expect((await ask(target, "POST", twice, session)).status).toBe(400);
  expect((await ask(target, "POST", '{"jsonrpc":"2.0","id":7,"method":"tools/call"}', session)).status).toBe(200);
});

describe("an event stream", () => {
  /** What a reader has to hold of a text: all after its last empty line. */
  function unfinished(text: string): string {
    const lines = text.split("\n");
    return lines.slice(lines.slice(0, -1).lastIndexOf("") + 1).join("\n");
  }

  it("has events of a size, with whatever line ends and in whatever pieces it comes", () => {
    const text = fc.string({ unit: fc.constantFrom("\n", "a"), maxLength: 30 });
    fc.assert(
      fc.property(text, fc.constantFrom("\n", "\r", "\r\n"), fc.nat(60), (given, lineEnd, cut) => {
        const size = new EventSize();
        const written = given.replaceAll("\n", lineEnd);
        size.passed(Buffer.from(written.slice(0, cut)));
        size.passed(Buffer.from(written.slice(cut)));
        expect(size.bytes).toBe(unfinished(given).length);
      }),
    );
  });

  it("has one kind of line ends for the connector's own session, whose reader looks far for the others", async () => {
    const target: Target = {
      serve: (_, answer) => {
        answer.head(200, [["content-type", "text/event-stream"]]);
        for (const part of ["data: one\r", "\n\r\n", "data: two\r\r"]) answer.write(Buffer.from(part));
        answer.end();
      },
      close: () => Promise.resolve(),
    };
    const fetch = targetFetch(target, { failed: () => undefined, postEnded: () => undefined });
    const response = await fetch("http://target/mcp", { method: "POST", body: "{}" });
    expect(await response.text()).toBe("data: one\n\ndata: two\n\n");
  });

  it("whose first event never ends is given up in the connector's own session", async () => {
    const server = createServer((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.on("error", () => undefined);
      const flood = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, "x")));
      };
      response.on("drain", flood).write("data: ");
      flood();
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const target = new HttpTarget(new URL(`http://127.0.0.1:${port}/mcp`), "attic", "Start it.");
    onTestFinished(async () => {
      await target.close();
      server.closeAllConnections();
      server.close();
    });
    const fetch = targetFetch(target, { failed: () => undefined, postEnded: () => undefined });
    const response = await fetch("http://target/mcp", { method: "POST", body: "{}" });
    await expect(response.text()).rejects.toThrow("its answer is larger than 16777216 bytes");
  });
});
