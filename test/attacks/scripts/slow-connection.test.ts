// Root cause: the front's limits were those of Node's HTTP/1.1 parser, which begin with a request's first byte. A connection that sent nothing,
// did not finish its TLS handshake, or did not read its refusal stayed open for as long as its client liked, and one HTTP/2 connection could have any
// number of requests. So one address could use up what there is for everybody. The port for certificate challenges, in the same process, had no limit at
// all. And a WebSocket that had been agreed to had no time: the one that greets everybody stayed open if its client did not close it, and behind a
// proxy one client could have all connections in this way, since only requests counted as its own.
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Challenges } from "../../../scripts/front/challenges.ts";
import { TrustedProxies } from "../../../scripts/front/client-address.ts";
import { Front } from "../../../scripts/front/front.ts";
import {
  MAX_CONNECTIONS_PER_ADDRESS,
  MAX_REQUESTS_PER_ADDRESS,
  MAX_STREAMS,
  RESET_BURST,
} from "../../../scripts/front/limits.ts";
import { newCertificate } from "../../scripts/front/support/certificates.ts";
import { awaited } from "../../support/awaited.ts";

/** Short, so that the test is. Each connection must end by itself; nothing here measures when. */
const SOON_MS = 1_000;

const folder = mkdtempSync(join(tmpdir(), "operator-front-"));
const certificate = newCertificate();
let asked = 0;
const gate = createServer((incoming, outgoing) => {
  asked += 1;
  if (incoming.url === "/now") outgoing.end("ok");
  else outgoing.writeHead(200).flushHeaders();
});
/** Agrees to each WebSocket, and never closes one. */
gate.on("upgrade", (_, socket) => {
  socket.on("error", () => undefined); // the end of the test
  socket.write("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
});
let plain: Front;
let secure: Front;
/** Ends nothing soon, for tests whose connections must stay until they are full. */
let patient: Front;

beforeAll(async () => {
  const socketPath = join(folder, "gate.sock");
  gate.listen({ path: socketPath, backlog: 2 * MAX_REQUESTS_PER_ADDRESS });
  await once(gate, "listening");
  const given = { host: "127.0.0.1", port: 0, trusted: new TrustedProxies([]), log: () => undefined };
  const options = { ...given, upstream: { socketPath } };
  const short = { headTimeoutMs: SOON_MS, keepAliveMs: SOON_MS, greetingMs: SOON_MS };
  plain = await Front.start({ ...options, ...short, certificate: null });
  secure = await Front.start({ ...options, ...short, certificate });
  // As a proxy in front would be, so that a test can be several clients.
  patient = await Front.start({ ...options, certificate, trusted: new TrustedProxies(["127.0.0.1", "::1"]) });
});

afterAll(async () => {
  gate.closeAllConnections();
  await Promise.all([plain, secure, patient].map((front) => front[Symbol.asyncDispose]()));
  gate.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Resolves when the front has ended a connection, with what it said. */
function ended(socket: Socket): Promise<string> {
  let said = "";
  socket.on("data", (data) => (said += data.toString()));
  socket.on("error", () => undefined); // a reset is an end as well
  return awaited("the end of the connection", new Promise((resolve) => socket.on("close", () => resolve(said))));
}

const ways: [string, () => Socket][] = [
  ["sends nothing", () => connect(plain.port, "127.0.0.1")],
  ["sends nothing, over TLS", () => connectTls({ port: secure.port, host: "localhost", ca: certificate.cert })],
  ["does not begin the TLS handshake", () => connect(secure.port, "127.0.0.1")],
  [
    "does not end the TLS handshake",
    () => {
      const socket = connect(secure.port, "127.0.0.1");
      socket.write(Buffer.from("1603010200010001fc0303", "hex"));
      return socket;
    },
  ],
];

describe.concurrent("a connection ends that", () => {
  test.each(ways)("%s", async (_, open) => void (await ended(open())));

  test.each([false, true])(
    "begins a head and does not close its side when it is refused (TLS: %s)",
    async (isSecure) => {
      const options = { host: "localhost", allowHalfOpen: true };
      const socket = isSecure
        ? connectTls({ ...options, port: secure.port, ca: certificate.cert })
        : connect({ ...options, port: plain.port });
      socket.write("GET / HTTP/1.1\r\nhost: x\r\n");
      // What it goes on sending is refused by the system once the front has closed the connection.
      const more = setInterval(() => socket.write("x: y\r\n"), 20);
      expect(await ended(socket).finally(() => clearInterval(more))).toContain("HTTP/1.1 408");
    },
  );

  test("speaks HTTP/2 and asks for nothing", async () => {
    const session = connectHttp2(`https://localhost:${secure.port}`, { ca: certificate.cert });
    session.on("error", () => undefined); // a reset is an end as well
    await awaited("the end of the connection", once(session, "close"));
  });
});

/** Asks for a WebSocket, and resolves with the connection when there is an answer. */
async function upgraded(port: number, path: string, header = "x: y"): Promise<{ socket: Socket; head: string }> {
  const socket = connect(port, "127.0.0.1");
  socket.on("error", () => undefined); // a reset is an end as well
  socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n${header}\r\n\r\n`);
  const [head]: Buffer[] = await once(socket, "data");
  return { socket, head: String(head) };
}

describe.concurrent("a WebSocket that nobody signed in for", () => {
  test.each([
    "/api/health",
    "/api/health?/link",
    "/api/health#/link",
    "/m/attic/link/../../../api/health",
    "/m/attic/link/",
  ])("ends although its client does not close it: %s", async (path) => {
    const { socket, head } = await upgraded(plain.port, path);
    expect(head).toContain("HTTP/1.1 101");
    await ended(socket);
  });

  test.each(["/m/attic/link", "/link"])("is no machine's link, which stays open: %s", async (path) => {
    const { socket } = await upgraded(plain.port, path);
    // Another one that was opened later has ended meanwhile.
    await ended((await upgraded(plain.port, "/api/health")).socket);
    expect(socket.destroyed).toBe(false);
    socket.destroy();
  });
});

test("behind a proxy, one client has only so many WebSockets at once", async () => {
  const given = { host: "127.0.0.1", port: 0, certificate: null, log: () => undefined };
  await using front = await Front.start({
    ...given,
    upstream: { socketPath: join(folder, "gate.sock") },
    trusted: new TrustedProxies(["127.0.0.1"]),
    greetingMs: 100_000,
  });
  const of = (client: string) => upgraded(front.port, "/api/health", `x-forwarded-for: ${client}`);
  const answers = await Promise.all(Array.from({ length: MAX_REQUESTS_PER_ADDRESS + 1 }, () => of("192.0.2.1")));
  expect(answers.filter(({ head }) => head.includes("HTTP/1.1 101"))).toHaveLength(MAX_REQUESTS_PER_ADDRESS);
  expect(answers.filter(({ head }) => head.includes("HTTP/1.1 429"))).toHaveLength(1);
  const other = await of("192.0.2.2");
  expect(other.head).toContain("HTTP/1.1 101");
  for (const { socket } of [...answers, other]) socket.destroy();
});

test("an HTTP/2 connection whose request is silent stays open", async () => {
  const session = connectHttp2(`https://localhost:${secure.port}`, { ca: certificate.cert });
  const silent = session.request({ ":path": "/silent" });
  await once(silent, "response");
  // Another connection that was opened later and is idle was closed meanwhile, twice.
  for (let times = 0; times < 2; times += 1) {
    const other = connectHttp2(`https://localhost:${secure.port}`, { ca: certificate.cert });
    other.on("error", () => undefined); // a reset is an end as well
    await awaited("the end of an idle connection", once(other, "close"));
  }
  expect(session.destroyed).toBe(false);
  session.destroy();
});

/** An HTTP/2 frame (RFC 9113 section 4.1). */
function frame(type: number, flags: number, stream: number, payload = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header field that is neither indexed nor compressed (RFC 7541 section 6.2.2). */
function field(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0, name.length]),
    Buffer.from(name),
    Buffer.from([value.length]),
    Buffer.from(value),
  ]);
}

/** How nghttp2 ends a connection that cancels too much. */
const INTERNAL_ERROR = 2;

/** The error code of the first GOAWAY frame among these frames; `null` if there is none. */
function goAwayIn(frames: Buffer): number | null {
  for (let at = 0; at + 9 <= frames.length; at += 9 + frames.readUIntBE(at, 3))
    if (frames[at + 3] === 7) return frames.readUInt32BE(at + 13);
  return null;
}

test("an HTTP/2 connection ends that cancels request after request, and others are served", async () => {
  const options = { port: patient.port, host: "localhost", ca: certificate.cert, ALPNProtocols: ["h2"] };
  const socket = connectTls(options);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  const cut = ended(socket);
  await once(socket, "secureConnect");
  const fields = [
    field(":method", "GET"),
    field(":scheme", "https"),
    field(":authority", "x"),
    field(":path", "/silent"),
  ];
  const head = Buffer.concat(fields);
  const cancel = Buffer.from([0, 0, 0, 8]);
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  socket.write(frame(4, 0, 0));
  for (let id = 1; id < 2 * 5 * RESET_BURST; id += 2)
    socket.write(Buffer.concat([frame(1, 5, id, head), frame(3, 0, id, cancel)]));
  await cut;
  // Not the end of an idle connection, which has no error (0).
  expect(goAwayIn(Buffer.concat(chunks))).toBe(INTERNAL_ERROR);
  const other = connectHttp2(`https://localhost:${patient.port}`, { ca: certificate.cert });
  const stream = other.request({ ":path": "/now" });
  const [answer]: Record<string, unknown>[] = await once(stream, "response");
  expect(answer?.[":status"]).toBe(200);
  other.destroy();
});

test("one address has only so many requests at once, whatever connections they share, and of IPv6 all addresses of a customer", async () => {
  const sessions = Array.from({ length: MAX_REQUESTS_PER_ADDRESS / MAX_STREAMS + 2 }, () =>
    connectHttp2(`https://localhost:${patient.port}`, { ca: certificate.cert }),
  );
  await Promise.all(sessions.map((session) => once(session, "remoteSettings")));
  expect(sessions[0]?.remoteSettings.maxConcurrentStreams).toBe(MAX_STREAMS);
  asked = 0;
  const heads = sessions.flatMap((session, index) =>
    Array.from({ length: MAX_STREAMS }, async () => {
      const stream = session.request({ ":path": "/silent", "x-forwarded-for": `2001:db8:1:2::${index + 1}` });
      stream.on("error", () => undefined); // the end of the test
      const [head]: Record<string, unknown>[] = await once(stream, "response");
      return head?.[":status"];
    }),
  );
  const statuses = await Promise.all(heads);
  expect(statuses.filter((status) => status === 200)).toHaveLength(MAX_REQUESTS_PER_ADDRESS);
  expect(statuses.filter((status) => status === 503)).toHaveLength(2 * MAX_STREAMS);
  expect(asked).toBe(MAX_REQUESTS_PER_ADDRESS);
  for (const session of sessions) session.destroy();
});

test.each([
  [
    "the front",
    () =>
      Front.start({
        host: "127.0.0.1",
        port: 0,
        certificate: null,
        log: () => undefined,
        upstream: { socketPath: join(folder, "gate.sock") },
        trusted: new TrustedProxies([]),
        // None of them may end by itself before the last one is open.
        headTimeoutMs: 100_000,
      }),
  ],
  [
    "the port for certificate challenges",
    () => Challenges.start("127.0.0.1", 0, "https://operator.example.com", () => undefined),
  ],
] as const)("at %s one address has only so many connections at once", async (_, start) => {
  await using listener: AsyncDisposable & { readonly port: number } = await start();
  const open: Socket[] = [];
  const refused = new Set<Socket>();
  while (open.length < MAX_CONNECTIONS_PER_ADDRESS) {
    const socket = connect(listener.port, "127.0.0.1");
    socket.on("close", () => refused.add(socket));
    open.push(socket);
    await once(socket, "connect");
  }
  expect(await ended(connect(listener.port, "127.0.0.1"))).toBe("");
  expect(refused.size).toBe(0);
  for (const socket of open) socket.destroy();
});
