// Root cause: the front gave every body as much time as its client liked, because a call may take an hour. But a call's answer takes that long, not
// its body. So a stranger could leave a thousand requests open, each with a connection to the gate, by sending a byte now and then.
import { EventEmitter, once } from "node:events";
import { type ClientRequest, createServer, type IncomingMessage, request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { buffer, text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { BodyWatch } from "../../../scripts/front/body-watch.ts";
import type { Front } from "../../../scripts/front/front.ts";
import { MAX_SLOW_BODIES_PER_ADDRESS } from "../../../scripts/front/limits.ts";
import { newCertificate } from "../../scripts/front/support/certificates.ts";
import { awaited } from "../../support/awaited.ts";
import { BehindFront } from "./support/behind-front.ts";

/** Short, so that the tests are: what must end does so by itself. */
const SHORT = { lookMs: 50, timeMs: 200, bytesPerMs: 1_000_000 };
/** As short as is safe for a body that must not be refused: a busy computer itself is slow now and then. */
const PATIENT = { ...SHORT, timeMs: 1_000 };
/** Bodies are slow at once, and may be so for as long as a test takes. */
const LONG = { lookMs: 20, timeMs: 3_600_000, bytesPerMs: 1_000_000 };

const certificate = newCertificate();
/** Reads bodies, and answers with their length. At `/later` it takes nothing before the test says so. */
const gate = createServer(async (incoming, outgoing) => {
  incoming.on("error", () => undefined); // cut by the front
  if (incoming.url === "/later") {
    incoming.pause();
    await once(gate, "take");
  }
  outgoing.end(String((await buffer(incoming).catch(() => "")).length));
});
let behind: BehindFront;
let short: Front;
let secure: Front;
let patient: Front;
let long: Front;

beforeAll(async () => {
  behind = await BehindFront.start(gate);
  short = await behind.front({ bodyTimes: SHORT });
  secure = await behind.front({ certificate, bodyTimes: SHORT });
  patient = await behind.front({ bodyTimes: PATIENT });
  long = await behind.front({ bodyTimes: LONG });
});

afterAll(() => behind[Symbol.asyncDispose]());

function post(front: Front, path: string, headers: Record<string, string> = {}) {
  const sending = request({ host: "127.0.0.1", port: front.port, method: "POST", path, headers });
  const answered = new Promise<IncomingMessage>((resolve, reject) => {
    sending.on("response", resolve);
    sending.on("error", reject); // also after the answer, when the front cuts the connection: then it changes nothing
  });
  return { sending, answered };
}

/** The answer's status. Without the front's limit a test would wait as long as its client goes on. */
async function statusOf(answered: Promise<{ statusCode?: number | undefined }>): Promise<number | undefined> {
  return (await awaited("an answer", answered)).statusCode;
}

describe("a body that does not arrive", () => {
  test.each<[string, Record<string, string>]>([
    ["in chunks", {}],
    ["of a stated length", { "content-length": "1000" }],
  ])("%s is refused, although its client sends a byte now and then", async (_, headers) => {
    const { sending, answered } = post(short, "/", headers);
    const drip = setInterval(() => sending.write("x"), 20);
    onTestFinished(() => {
      clearInterval(drip);
      sending.destroy();
    });
    expect(await statusOf(answered)).toBe(408);
    expect(await text(await answered)).toContain("took too long");
  });

  test("over HTTP/2 is refused as well, and other requests of its connection are served", async () => {
    const session = connectHttp2(`https://localhost:${secure.port}`, { ca: certificate.cert });
    onTestFinished(() => session.destroy());
    const slow = session.request({ ":method": "POST", ":path": "/" });
    slow.on("error", () => undefined); // it is reset after its answer
    slow.write("x");
    const answered = once(slow, "response").then(([head]) => ({ statusCode: Number(head[":status"]) }));
    expect(await statusOf(answered)).toBe(408);
    const other = session.request({ ":method": "POST", ":path": "/" });
    other.end("words");
    expect(await text(other)).toBe("5");
  });

  test("because the gate takes nothing is not refused", async () => {
    const { sending, answered } = post(patient, "/later");
    const size = 8 * 1024 * 1024;
    sending.end(Buffer.alloc(size));
    // Another body is refused meanwhile, twice.
    for (let times = 0; times < 2; times += 1) {
      const other = post(patient, "/");
      other.sending.write("x");
      onTestFinished(() => void other.sending.destroy());
      expect(await statusOf(other.answered)).toBe(408);
    }
    gate.emit("take");
    expect(await text(await answered)).toBe(String(size));
  });
});

test("slow bodies count for all of a network's addresses, and each until its connection ends", async () => {
  const bodies = new BodyWatch({ ...LONG, lookMs: 1 });
  let cuts = 0;
  /** A body of which nothing arrives, from an address of one network. */
  const begin = (number: number): IncomingMessage => {
    const [incoming, toGate] = [new EventEmitter(), new EventEmitter()];
    bodies.watch(
      incoming as IncomingMessage,
      toGate as ClientRequest,
      `2001:db8::${number.toString(16)}`,
      () => (cuts += 1),
    );
    onTestFinished(() => void incoming.emit("close"));
    return incoming as IncomingMessage;
  };
  const open = Array.from({ length: MAX_SLOW_BODIES_PER_ADDRESS }, (_, index) => begin(index + 1));
  begin(0xffff);
  await expect.poll(() => cuts).toBe(1);
  open[0]?.emit("close");
  for (const number of [0xfffe, 0xfffd]) begin(number); // one of them has room
  await expect.poll(() => cuts).toBe(2);
});

test("an address has only so many slow bodies at once, and its other requests are served", async () => {
  const slow = Array.from({ length: MAX_SLOW_BODIES_PER_ADDRESS + 10 }, () => post(long, "/"));
  let refused = 0;
  onTestFinished(() => {
    for (const one of slow) one.sending.destroy();
  });
  for (const { sending, answered } of slow) {
    sending.write("x");
    answered.then(
      ({ statusCode }) => (refused += statusCode === 429 ? 1 : 0),
      () => undefined, // cut at the end of the test
    );
  }
  await expect.poll(() => refused).toBe(10);
  const { sending, answered } = post(long, "/");
  sending.end("words");
  expect(await text(await answered)).toBe("5");
  expect(refused).toBe(10);
});
