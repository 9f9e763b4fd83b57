import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { Agent, globalAgent, request } from "node:https";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { X509Certificate } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { AcmeCertificate } from "../../../scripts/front/acme-certificate.ts";
import { type Certificate, type CertificateSource, endsAtMs } from "../../../scripts/front/certificate.ts";
import { CertificateFiles } from "../../../scripts/front/certificate-files.ts";
import { Challenges } from "../../../scripts/front/challenges.ts";
import { TrustedProxies } from "../../../scripts/front/client-address.ts";
import { Front } from "../../../scripts/front/front.ts";
import { newCertificate, testFolder, until } from "./support/certificates.ts";
import { TestGate } from "./support/gate.ts";
import { HAS_PEBBLE, Pebble } from "./support/pebble.ts";

/** The certificates are not what is trusted here, but which of them is shown. */
const TLS = { host: "127.0.0.1", servername: "localhost", rejectUnauthorized: false } as const;

/** Between two calls of a kind: enough load to meet every renewal, and processor time for the rest of the suite. */
const PAUSE_MS = 5;

/** More than one, because the first replaces a certificate that was given in another way than all others. */
const RENEWALS = 5;

let gate: TestGate;

beforeAll(async () => {
  gate = await TestGate.start();
});

afterAll(() => gate[Symbol.asyncDispose]());

/** A front as `openDoor` makes it of a source of certificates. */
async function frontWith(source: CertificateSource): Promise<Front> {
  const front = await Front.start({
    host: "127.0.0.1",
    port: 0,
    upstream: { socketPath: gate.socketPath },
    certificate: source.current,
    trusted: new TrustedProxies([]),
    log: () => undefined,
  });
  onTestFinished(() => front[Symbol.asyncDispose]());
  source.onRenewed((certificate) => front.renew(certificate));
  return front;
}

function fingerprintOf({ cert }: Certificate): string {
  return new X509Certificate(cert).fingerprint256;
}

/** Everything that a client can have open with a front, all of it in use: whatever breaks is in `faults`. */
class Load {
  readonly faults: string[] = [];
  /** How often each kind has got through. */
  readonly done: Record<"call" | "http2" | "socket" | "tick" | "connection" | "resumption", number> = {
    call: 0,
    http2: 0,
    socket: 0,
    tick: 0,
    connection: 0,
    resumption: 0,
  };
  /** The certificate that the last new connection was shown. */
  shown = "";
  readonly #port: number;
  /** Calls over one connection that stays open. */
  readonly #kept = new Agent({ ...TLS, keepAlive: true, maxSockets: 1 });
  /** A connection for each call. */
  readonly #fresh = new Agent({ ...TLS, keepAlive: false, maxCachedSessions: 0 });
  /** The same, but each resumes the TLS session of the one before, so it is not shown a certificate again. */
  readonly #resuming = new Agent({ ...TLS, keepAlive: false });
  readonly #endings: (() => void)[] = [];
  #isOver = false;

  constructor(port: number) {
    this.#port = port;
  }

  async begin(): Promise<void> {
    const session = connectHttp2(`https://localhost:${this.#port}`, TLS);
    session.on("error", ({ message }) => this.#fail(`http2: ${message}`));
    session.on("close", () => this.#fail("http2: closed"));
    const socket = new WebSocket(`wss://localhost:${this.#port}/echo`, TLS);
    socket.on("error", ({ message }) => this.#fail(`socket: ${message}`));
    socket.on("close", () => this.#fail("socket: closed"));
    await once(socket, "open");
    const stream = await this.#get("/ticks", new Agent(TLS));
    this.#readTicks(stream);
    this.#endings.push(
      () => session.destroy(),
      () => socket.terminate(),
      () => stream.destroy(),
    );

    this.#repeat("call", async () => void (await bodyOf(await this.#get("/", this.#kept))));
    this.#repeat("http2", async () => {
      const stream2 = session.request({ ":path": "/" });
      for await (const _ of stream2.resume()) void _;
      if (stream2.sentHeaders === undefined) throw new Error("no answer");
    });
    this.#repeat("socket", async () => {
      const answered = once(socket, "message");
      socket.send("x");
      expect(String((await answered)[0])).toBe("echo x");
    });
    this.#repeat("connection", async () => {
      const answer = await this.#get("/", this.#fresh);
      this.shown = (answer.socket as TLSSocket).getPeerCertificate().fingerprint256;
      await bodyOf(answer);
    });
    this.#repeat("resumption", async () => bodyOf(await this.#get("/", this.#resuming)));
  }

  end(): void {
    this.#isOver = true;
    for (const end of this.#endings) end();
    for (const agent of [this.#kept, this.#fresh, this.#resuming]) agent.destroy();
  }

  #repeat(kind: keyof Load["done"], act: () => Promise<void>): void {
    void (async () => {
      while (!this.#isOver) {
        await act();
        this.done[kind] += 1;
        await sleep(PAUSE_MS);
      }
    })().catch((reason: unknown) => this.#fail(`${kind}: ${String(reason)}`));
  }

  #readTicks(stream: IncomingMessage): void {
    let text = "";
    stream.setEncoding("utf8").on("data", (chunk: string) => {
      const events = (text += chunk).split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        this.done.tick += 1;
        if (event !== `data: ${this.done.tick}`) this.#fail(`tick ${this.done.tick}: ${event}`);
      }
    });
    stream.on("close", () => this.#fail("ticks: ended"));
  }

  async #get(path: string, agent: Agent): Promise<IncomingMessage> {
    const asked = request({ ...TLS, port: this.#port, path, agent }).end();
    const [answer] = (await once(asked, "response")) as [IncomingMessage];
    if (answer.statusCode !== 200) throw new Error(`${path} answered ${answer.statusCode}`);
    return answer;
  }

  #fail(what: string): void {
    if (!this.#isOver) this.faults.push(what);
  }
}

async function bodyOf(answer: IncomingMessage): Promise<void> {
  for await (const _ of answer) void _;
}

/** Waits until new connections are shown the certificate and everything that was open has gone on since. */
async function untilInUse(load: Load, certificate: Certificate): Promise<void> {
  const before = { ...load.done };
  await until("the renewed certificate is shown, and all goes on", () => {
    const kinds = Object.keys(before) as (keyof typeof before)[];
    const goesOn = kinds.every((kind) => load.done[kind] > before[kind]);
    return load.faults.length > 0 || (load.shown === fingerprintOf(certificate) && goesOn);
  });
  expect(load.faults).toEqual([]);
}

async function loadOn(front: Front): Promise<Load> {
  const load = new Load(front.port);
  onTestFinished(() => load.end());
  await load.begin();
  return load;
}

describe("while clients call, stream and connect", () => {
  it("certificates from files are renewed: what is open goes on, what is new gets the new one", async () => {
    const folder = testFolder();
    const [certFile, keyFile] = [join(folder, "cert.pem"), join(folder, "key.pem")];
    const put = ({ cert, key }: Certificate): void => {
      for (const [file, text] of [
        [certFile, cert],
        [keyFile, key],
      ] as const) {
        writeFileSync(`${file}.new`, text);
        renameSync(`${file}.new`, file);
      }
    };
    put(newCertificate());
    const source = new CertificateFiles({ certFile, keyFile, log: () => undefined, lookMs: 10 });
    onTestFinished(() => source[Symbol.asyncDispose]());
    const load = await loadOn(await frontWith(source));
    await untilInUse(load, source.current);
    for (let renewal = 1; renewal <= RENEWALS; renewal += 1) {
      const renewed = newCertificate();
      put(renewed);
      await untilInUse(load, renewed);
    }
  });

  it.skipIf(!HAS_PEBBLE)("one by ACME is renewed likewise", async () => {
    const challenges = await Challenges.start("127.0.0.1", 0, "https://localhost", () => undefined);
    onTestFinished(() => challenges[Symbol.asyncDispose]());
    const pebble = await Pebble.start(challenges.port);
    globalAgent.options.ca = pebble.trust;
    onTestFinished(() => void delete globalAgent.options.ca);
    const options = {
      email: "owner@example.com",
      hosts: ["localhost"],
      folder: join(testFolder(), "tls"),
      challenges,
      directoryUrl: pebble.directoryUrl,
      log: () => undefined,
    };
    const first = await AcmeCertificate.start(options);
    onTestFinished(() => first[Symbol.asyncDispose]());
    const front = await frontWith(first);
    const load = await loadOn(front);
    await untilInUse(load, first.current);
    // Another one in the same folder for which it is later, so that it finds the certificate nearly over.
    const later = await AcmeCertificate.start({ ...options, now: () => endsAtMs(first.current) - 60_000 });
    onTestFinished(() => later[Symbol.asyncDispose]());
    later.onRenewed((certificate) => front.renew(certificate));
    await until("it is renewed", () => later.current.cert !== first.current.cert);
    await untilInUse(load, later.current);
  });
});
