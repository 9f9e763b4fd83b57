import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { WebSocket } from "ws";
import { ByteRelay } from "../../../scripts/front/byte-relay.ts";
import { TestGate } from "./support/gate.ts";

/** Far more than passes between two words of a client that is not silent. */
const SILENCE_MS = 2_000;

let gate: TestGate;
let relay: ByteRelay;

beforeEach(async () => {
  gate = await TestGate.start();
  relay = await ByteRelay.start(0, { socketPath: gate.socketPath }, { silenceMs: SILENCE_MS, refusesNameless: true });
});

afterEach(async () => {
  await relay[Symbol.asyncDispose]();
  await gate[Symbol.asyncDispose]();
});

/** Sends these pieces as they stand, and answers what comes back until the connection ends. */
async function exchange(...pieces: string[]): Promise<string> {
  const socket = connect(relay.port, "127.0.0.1");
  const closed = once(socket, "close");
  socket.on("error", () => undefined); // it was refused while the test was still writing
  let text = "";
  socket.on("data", (chunk: Buffer) => void (text += chunk.toString()));
  for (const piece of pieces) {
    socket.write(piece);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await closed;
  return text;
}

it("refuses a client that names no User-Agent, and Operator never sees its request", async () => {
  const head = "POST /refused HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n";
  expect(await exchange(`${head}\r\nhi`)).toContain("403 Forbidden");
  expect(await exchange(head.slice(0, 30), head.slice(30), "user-agent:\r\n", "\r\nhi")).toContain("403 Forbidden");
  expect(gate.words).toEqual([]);
});

it("passes a client that names one, whatever its head is split into", async () => {
  const pieces = [
    "POST / HTTP/1.1\r\nhost: x\r\nuser-",
    "agent: me\r\ncontent-length: 2\r\nconnection: close\r\n",
    "\r\nhi",
  ];
  expect(await exchange(...pieces)).toContain("200 OK");
});

it("cuts what is silent for too long, and leaves alone what says something now and then", async () => {
  const cut = request({
    host: "127.0.0.1",
    port: relay.port,
    path: "/hold",
    agent: false,
    headers: { "user-agent": "me" },
  });
  const error = once(cut, "error");
  cut.end();
  const socket = new WebSocket(`ws://127.0.0.1:${relay.port}/socket`, { headers: { "user-agent": "me" } });
  await once(socket, "open");
  for (let times = 0; times < 5; times += 1) {
    socket.send("ping");
    await once(socket, "message");
    await new Promise((resolve) => setTimeout(resolve, SILENCE_MS / 4));
  }
  expect((await error)[0]).toMatchObject({ code: "ECONNRESET" });
  await gate.says("aborted /hold");
  socket.terminate();
});
