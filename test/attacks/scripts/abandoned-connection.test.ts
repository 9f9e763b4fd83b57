// Root cause: the front took over connections from Node's HTTP server (an upgrade, a body whose reader has gone) without taking over what
// the server did for them. Nobody read such a connection any more, so its end was never noticed: a stranger could open connections, leave,
// and they counted as open until the next start. And an upgrade behind a request that was not answered yet made the front end with an error.
import { type EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Front } from "../../../scripts/front/front.ts";
import { newCertificate } from "../../scripts/front/support/certificates.ts";
import { awaited } from "../../support/awaited.ts";
import { BehindFront } from "./support/behind-front.ts";

const certificate = newCertificate();
const seen: string[] = [];
/**
 * Agrees to no WebSocket, and closes its connection after an answer to `/early`, whose body it does not read. Below `/cut/` its answers break off.
 */
const gate = createServer(async ({ url = "", socket }, outgoing) => {
  seen.push(url);
  if (url.startsWith("/cut/")) {
    outgoing.writeHead(200, { "content-type": url.slice("/cut/".length) });
    return void outgoing.write("data: a part\n\n", () => socket.destroy());
  }
  if (url === "/later") await once(gate, "answer");
  if (url === "/early") outgoing.on("finish", () => socket.destroy());
  outgoing.end("ok");
});
let behind: BehindFront;
let plain: Front;
let secure: Front;
/** In front of a gate that does not run. */
let alone: Front;

beforeAll(async () => {
  behind = await BehindFront.start(gate);
  plain = await behind.front();
  secure = await behind.front({ certificate });
  alone = await behind.frontAlone();
});

afterAll(() => behind[Symbol.asyncDispose]());

/** Resolves when a socket or a stream is closed. A reset is an end as well. */
function closed(socket: EventEmitter): Promise<void> {
  socket.on("error", () => undefined);
  return awaited("the end of the connection", new Promise((resolve) => socket.on("close", resolve)));
}

/** Sends a head and then always more, and answers what came back when the front has cut the connection. */
async function sendOn(front: Front, head: string): Promise<string> {
  const socket = connect({ port: front.port, host: "127.0.0.1", allowHalfOpen: true });
  let answer = "";
  socket.on("data", (data) => (answer += data.toString()));
  socket.write(head);
  const more = setInterval(() => socket.write("more"), 20);
  await closed(socket).finally(() => clearInterval(more));
  return answer;
}

const UPGRADE = "connection: upgrade\r\nupgrade: websocket\r\n\r\n";

describe.concurrent("a connection is cut whose client sends on after", () => {
  test("an upgrade that the gate refuses", async () => {
    expect(await sendOn(plain, `GET / HTTP/1.1\r\nhost: x\r\n${UPGRADE}`)).toContain("HTTP/1.1 200");
  });

  test("an upgrade that the front ignores", async () => {
    const answer = await sendOn(plain, `POST / HTTP/1.1\r\nhost: x\r\n${UPGRADE}`);
    expect(answer).toMatch(/^HTTP\/1\.1 200 .*connection: close/is);
  });

  test("an answer to a part of its body", async () => {
    const head = "POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n";
    // The gate resets a connection of which it has not read everything, and a reset may overtake the answer.
    expect(await sendOn(plain, head)).toMatch(/^HTTP\/1\.1 (?:200|502)/);
  });

  test("an answer to a part of its body, while the gate is not running", async () => {
    const head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n";
    expect(await sendOn(alone, head)).toContain("HTTP/1.1 502");
  });

  test("an answer to a part of its body, over HTTP/2: its stream alone", async () => {
    const session = connectHttp2(`https://localhost:${secure.port}`, { ca: certificate.cert });
    const stream = session.request({ ":path": "/early", ":method": "POST" }, { endStream: false });
    stream.resume();
    const more = setInterval(() => stream.write("more"), 20);
    await closed(stream).finally(() => clearInterval(more));
    const next = session.request({ ":path": "/next" });
    const [head]: Record<string, unknown>[] = await once(next.resume(), "response");
    expect(head?.[":status"]).toBe(200);
    session.close();
  });
});

test.each(["application/json", "text/event-stream"])(
  "an answer of %s that breaks off never looks complete",
  async (type) => {
    const answer = await fetch(`http://127.0.0.1:${plain.port}/cut/${type}`);
    await expect(answer.text()).rejects.toThrow();
  },
);

test("an upgrade behind a request that is not answered yet ends its own connection and nothing else", async () => {
  const socket = connect(plain.port, "127.0.0.1");
  seen.length = 0;
  socket.write(`GET /later HTTP/1.1\r\nhost: x\r\n\r\nGET /link HTTP/1.1\r\nhost: x\r\n${UPGRADE}`);
  await closed(socket);
  gate.emit("answer");
  const answer = await fetch(`http://127.0.0.1:${plain.port}/next`);
  expect(answer.status).toBe(200);
  expect(seen).not.toContain("/link");
});
