// Root cause: the front limited what an address has open at once, and each HTTP/2 connection by itself. A client that opened a connection, cancelled
// as many requests as one may, and opened the next one was never limited, and the gate began all of those requests. Of IPv6, each of the 2^64
// addresses that one customer has counted by itself.
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { type ClientHttp2Session, connect as connectHttp2, constants } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { AddressRates } from "../../../scripts/front/address-rates.ts";
import { TrustedProxies } from "../../../scripts/front/client-address.ts";
import { Front } from "../../../scripts/front/front.ts";
import { newCertificate } from "../../scripts/front/support/certificates.ts";

const folder = mkdtempSync(join(tmpdir(), "operator-front-"));
const certificate = newCertificate();
let asked = 0;
/** Answers everything but `/silent`. */
const gate = createServer(({ url }, outgoing) => {
  asked += 1;
  if (url === "/silent") outgoing.writeHead(200).flushHeaders();
  else if (url === "/broken")
    outgoing.writeHead(200, { "content-length": "9" }).write("broke", () => outgoing.destroy());
  else outgoing.end("ok");
});

beforeAll(async () => {
  gate.listen(join(folder, "gate.sock"));
  await once(gate, "listening");
});

afterAll(() => {
  gate.closeAllConnections();
  gate.close();
  rmSync(folder, { recursive: true, force: true });
});

const FREE = { perSecond: 1_000, burst: 100_000 };
/** So rare that no test waits for the second one. */
const FEW = { perSecond: 0.001, burst: 5 };

async function front(
  isSecure: boolean,
  rates: { connects?: typeof FREE; requests?: typeof FREE; cancels?: typeof FREE },
  trusted: string[] = [],
): Promise<Front> {
  const started = await Front.start({
    host: "127.0.0.1",
    port: 0,
    upstream: { socketPath: join(folder, "gate.sock") },
    certificate: isSecure ? certificate : null,
    trusted: new TrustedProxies(trusted),
    log: () => undefined,
    rates: new AddressRates({
      rates: { connects: FREE, requests: FREE, cancels: FREE, ...rates },
      sparesThisComputer: false,
    }),
  });
  onTestFinished(() => started[Symbol.asyncDispose]());
  return started;
}

function session({ port }: Front): ClientHttp2Session {
  const opened = connectHttp2(`https://localhost:${port}`, { ca: certificate.cert });
  opened.on("error", () => undefined); // it is ended by the front
  onTestFinished(() => opened.destroy());
  return opened;
}

async function statusOf(of: ClientHttp2Session, path: string): Promise<unknown> {
  const stream = of.request({ ":path": path });
  stream.on("error", () => undefined); // its connection may end
  const [head]: Record<string, unknown>[] = await once(stream.resume(), "response");
  return head?.[":status"];
}

test("an address that cancels requests on one HTTP/2 connection after the other is refused, and its connection ends", async () => {
  const started = await front(true, { cancels: FEW });
  for (let times = 0; times < FEW.burst; times += 1) {
    const one = session(started);
    expect(await statusOf(one, "/silent")).toBe(200);
    one.destroy();
  }
  asked = 0;
  // The front learns of the last cancellation a moment later.
  const next = session(started);
  const ended = once(next, "goaway");
  await expect.poll(() => statusOf(next, "/now")).toBe(429);
  expect((await ended)[0]).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
});

test("a request that the gate breaks off does not count against its client", async () => {
  const { port } = await front(false, { cancels: FEW });
  for (let times = 0; times < 2 * FEW.burst; times += 1)
    await expect(fetch(`http://127.0.0.1:${port}/broken`).then((response) => response.text())).rejects.toThrow();
  expect((await fetch(`http://127.0.0.1:${port}/now`)).status).toBe(200);
});

test("an address that sends too many requests is told how long to wait, also with a WebSocket, and its connection ends", async () => {
  const { port } = await front(false, { requests: FEW });
  asked = 0;
  for (let times = 0; times < FEW.burst; times += 1)
    expect((await fetch(`http://127.0.0.1:${port}/now`)).status).toBe(200);
  const refused = await fetch(`http://127.0.0.1:${port}/now`);
  expect(refused.status).toBe(429);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(900);
  expect(await refused.json()).toMatchObject({ error: { code: "too_many_requests", retryable: true } });
  for (const upgrade of ["", "connection: upgrade\r\nupgrade: websocket\r\n"]) {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.on("data", (data) => (answer += data.toString()));
    socket.write(`GET /now HTTP/1.1\r\nhost: x\r\n${upgrade}\r\n`);
    await once(socket, "close");
    expect(answer).toContain("HTTP/1.1 429");
  }
  expect(asked).toBe(FEW.burst);
});

test("an address may open only so many connections one after the other", async () => {
  const { port } = await front(false, { connects: FEW });
  const answered = async (): Promise<boolean> => {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.on("data", (data) => (answer += data.toString()));
    socket.on("error", () => undefined); // a reset is an end as well
    socket.write("GET /now HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    await new Promise((resolve) => socket.on("close", resolve));
    return answer !== "";
  };
  const results: boolean[] = [];
  for (let times = 0; times < FEW.burst + 2; times += 1) results.push(await answered());
  expect(results).toEqual([...Array.from({ length: FEW.burst }, () => true), false, false]);
});

test("behind a proxy, rates count the client that it names, and a client that it does not name has none", async () => {
  const { port } = await front(false, { requests: FEW, connects: FEW }, ["127.0.0.1"]);
  const statuses = async (headers: Record<string, string>): Promise<number[]> => {
    const answers: number[] = [];
    for (let times = 0; times < FEW.burst + 1; times += 1)
      answers.push((await fetch(`http://127.0.0.1:${port}/now`, { headers })).status);
    return answers;
  };
  const all = Array.from({ length: FEW.burst }, () => 200);
  expect(await statuses({ "x-forwarded-for": "2001:db8:1:2::3" })).toEqual([...all, 429]);
  expect(await statuses({ "x-forwarded-for": "2001:db8:1:2:ffff::4" })).toEqual([...all.map(() => 429), 429]);
  expect(await statuses({ "x-forwarded-for": "2001:db8:1:3::3" })).toEqual([...all, 429]);
  expect(await statuses({})).toEqual([...all, 200]);
});
