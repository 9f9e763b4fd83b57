// Root cause: the front left it to Node how a request's body is framed towards the gate, and passed a WebSocket's bytes on before the
// gate had agreed to one. Node frames no body of a GET, so it arrived as another request, with headers of a stranger's choice, on a
// connection that the next person's request came over as well.
import { once } from "node:events";
import { createServer } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Front } from "../../../scripts/front/front.ts";
import { newCertificate } from "../../scripts/front/support/certificates.ts";
import { BehindFront } from "./support/behind-front.ts";

type Seen = { readonly url: string; readonly address: unknown; readonly body: string };

const seen: Seen[] = [];
/** Answers every request and agrees to no WebSocket. Node's parser tells requests apart as strictly as workerd's. */
const gate = createServer((incoming, outgoing) => {
  let body = "";
  incoming.on("data", (chunk) => (body += String(chunk)));
  incoming.on("end", () => {
    seen.push({ url: incoming.url ?? "", address: incoming.headers["cf-connecting-ip"], body });
    outgoing.end("ok");
  });
});
const certificate = newCertificate();
const SMUGGLED = "GET /smuggled HTTP/1.1\r\nhost: x\r\ncf-connecting-ip: 192.0.2.66\r\n\r\n";
const CHUNKED = `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n0\r\n\r\n`;

let behind: BehindFront;
let plain: Front;
let secure: Front;

beforeAll(async () => {
  behind = await BehindFront.start(gate);
  plain = await behind.front();
  secure = await behind.front({ certificate });
});

beforeEach(() => {
  seen.length = 0;
});

afterAll(() => behind[Symbol.asyncDispose]());

/** Sends bytes as they stand, and answers what comes back until the front ends the connection. */
async function send(bytes: string): Promise<string> {
  const socket = connect(plain.port, "127.0.0.1");
  socket.on("error", () => undefined); // a reset is an end as well
  let answer = "";
  socket.on("data", (data) => (answer += data.toString()));
  socket.write(bytes);
  await once(socket, "close");
  return answer;
}

const METHODS = ["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "POST", "PROPFIND"];

describe("a body never becomes a request of its own", () => {
  test.each(METHODS)("%s with a chunked body", async (method) => {
    const head = `${method} /asked HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n`;
    await send(head + CHUNKED);
    expect(seen).toEqual([{ url: "/asked", address: "127.0.0.1", body: SMUGGLED }]);
  });

  test.each(METHODS)("%s whose Connection header takes the length away", async (method) => {
    const length = `connection: close, content-length\r\ncontent-length: ${SMUGGLED.length}`;
    await send(`${method} /asked HTTP/1.1\r\nhost: x\r\n${length}\r\n\r\n${SMUGGLED}`);
    expect(seen).toEqual([{ url: "/asked", address: "127.0.0.1", body: SMUGGLED }]);
  });

  test.each([
    ["GET", {}],
    ["DELETE", {}],
    ["GET", { "content-length": String(SMUGGLED.length) }],
    ["POST", {}],
  ])("%s over HTTP/2, with %j", async (method, headers) => {
    const session = connectHttp2(`https://localhost:${secure.port}`, { ca: certificate.cert });
    const stream = session.request({ ":path": "/asked", ":method": method, ...headers }, { endStream: false });
    stream.end(SMUGGLED);
    stream.resume();
    await once(stream, "close");
    session.close();
    expect(seen).toEqual([{ url: "/asked", address: "127.0.0.1", body: SMUGGLED }]);
  });
});

describe("nothing follows an upgrade that the gate did not agree to", () => {
  const upgrade = (more: string, method = "GET"): string =>
    `${method} /asked HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n${more}\r\n\r\n`;

  test("a request after a WebSocket's", async () => {
    expect(await send(upgrade("upgrade: websocket") + SMUGGLED)).toContain("HTTP/1.1 200 OK");
    expect(seen).toEqual([{ url: "/asked", address: "127.0.0.1", body: "" }]);
  });

  test.each([
    ["to another protocol", upgrade("upgrade: h2c"), ""],
    ["to one of two", upgrade("upgrade: h2c, websocket"), ""],
    ["with a body", upgrade(`upgrade: websocket\r\ncontent-length: ${SMUGGLED.length}`) + SMUGGLED, SMUGGLED],
    ["with a chunked body", upgrade("upgrade: websocket\r\ntransfer-encoding: chunked") + CHUNKED, SMUGGLED],
    ["with another method", upgrade("upgrade: websocket", "POST"), ""],
  ])("an upgrade %s is ignored: its request is answered, and nothing after it", async (_, bytes, body) => {
    const answer = await send(bytes + SMUGGLED);
    expect(answer.match(/^HTTP.*$/gm)).toEqual(["HTTP/1.1 200 OK"]);
    expect(answer).toMatch(/^connection: close\r$/im);
    expect(seen).toEqual([{ url: "/asked", address: "127.0.0.1", body }]);
  });
});

test.each(["evil@x", "x/../y", "x#y", "x, y", "x?y", "x:80:90", "", "[::1", "x\r\nhost: y"])(
  "a request for the host %j is refused",
  async (host) => {
    expect(await send(`GET /asked HTTP/1.1\r\nconnection: close\r\nhost: ${host}\r\n\r\n`)).toContain("HTTP/1.1 400");
    expect(seen).toEqual([]);
  },
);
