import { once } from "node:events";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { ByteRelay } from "../../../scripts/front/byte-relay.ts";
import { temporaryFolder } from "../connector/support/temporary-folder.ts";
import { TestGate } from "./support/gate.ts";

const PIECE_BYTES = 2_000;

let gate: TestGate;
let relay: ByteRelay;

beforeAll(async () => {
  gate = await TestGate.start();
  relay = await ByteRelay.start(0, { socketPath: gate.socketPath });
});

afterAll(async () => {
  await relay[Symbol.asyncDispose]();
  await gate[Symbol.asyncDispose]();
});

it("the relay forwards requests and large answers, many over one connection", async () => {
  for (const body of ["small", "x".repeat(3_000_000)]) {
    const response = await fetch(`http://127.0.0.1:${relay.port}/`, { method: "POST", body });
    expect(((await response.json()) as { body: string }).body).toBe(body);
  }
});

it("what waits for a slow reader is not written over by what comes after it", async () => {
  using folder = temporaryFolder();
  const socketPath = join(folder.path, "gate.sock");
  const sent = Buffer.from(Uint32Array.from({ length: 4_000_000 }, (_, at) => at).buffer);
  let written = 0;
  await using server = createServer(async (socket) => {
    // Short pieces, one at a time: several of them wait at the relay when nothing can be sent on.
    for (; written < sent.length; written += PIECE_BYTES)
      if (socket.write(sent.subarray(written, written + PIECE_BYTES))) await setImmediate();
      else await once(socket, "drain");
    socket.end();
  }).listen(socketPath);
  await once(server, "listening");
  await using own = await ByteRelay.start(0, { socketPath });
  const client = connect(own.port, "127.0.0.1");
  let before = -1;
  await expect.poll(() => before === (before = written) && written > 0).toBe(true); // all that lies between is full
  const parts: Buffer[] = [];
  for await (const part of client) parts.push(part as Buffer);
  expect(Buffer.concat(parts).equals(sent)).toBe(true);
});

it("the relay forwards a WebSocket, and its end", async () => {
  const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/socket`);
  await once(socket, "open");
  socket.send("hello");
  const [answer] = (await once(socket, "message")) as [Buffer];
  expect(answer.toString()).toBe("echo hello");
  socket.terminate();
  await gate.says("closed /socket");
});

it("the relay cancels the request at the gate when its client closes the connection gracefully", async () => {
  gate.words.length = 0;
  const outgoing = request({ host: "127.0.0.1", port: relay.port, path: "/hold", agent: false });
  outgoing.on("error", () => undefined);
  outgoing.end();
  await gate.says("holding");
  outgoing.destroy();
  await gate.says("aborted /hold");
});

it("the relay ends a connection when the gate is not running", async () => {
  const lonely = await ByteRelay.start(0, { socketPath: "/nonexistent/gate.sock" });
  await expect(fetch(`http://127.0.0.1:${lonely.port}/`)).rejects.toThrow();
  await lonely[Symbol.asyncDispose]();
});
