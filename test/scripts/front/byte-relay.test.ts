import { once } from "node:events";
import { request } from "node:http";
import { afterAll, beforeAll, expect, it } from "vitest";
import { WebSocket } from "ws";
import { ByteRelay } from "../../../scripts/front/byte-relay.ts";
import { TestGate } from "./support/gate.ts";

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
