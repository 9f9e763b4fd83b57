import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const WORKERD = fileURLToPath(new URL("../../../../node_modules/workerd/bin/workerd", import.meta.url));
const START_LIMIT_MS = 90_000;

/** Says on its output what happens to each request, which is how a test sees a hang-up from the gate's side. */
const WORKER = `let goesOn = false;
export default {
  async fetch(request) {
    const { pathname, protocol } = new URL(request.url);
    request.signal.addEventListener("abort", () => console.log("aborted " + pathname));
    if (request.headers.get("upgrade") === "websocket") {
      const [client, server] = Object.values(new WebSocketPair());
      server.accept();
      server.addEventListener("message", ({ data }) => server.send("echo " + data));
      server.addEventListener("close", () => console.log("closed " + pathname));
      return new Response(null, { status: 101, webSocket: client });
    }
    switch (pathname) {
      case "/hold":
        console.log("holding");
        await scheduler.wait(60_000);
        return new Response("late");
      case "/upload": {
        let bytes = 0;
        try {
          for await (const chunk of request.body) {
            if (bytes === 0) console.log("first " + chunk.length);
            bytes += chunk.length;
          }
        } catch (reason) {
          console.log("aborted " + pathname); // the body may break off before the signal says so, and nobody hears of that then
          throw reason;
        }
        console.log("whole " + bytes);
        return new Response(String(bytes));
      }
      case "/ticks": {
        const body = new ReadableStream({
          async start(controller) {
            for (let tick = 1; !request.signal.aborted; tick += 1) {
              controller.enqueue(new TextEncoder().encode("data: " + tick + "\\n\\n"));
              await scheduler.wait(10);
            }
            controller.close();
          },
        });
        return new Response(body, { headers: { "content-type": "text/event-stream" } });
      }
      case "/go-on":
        goesOn = true;
        break;
      case "/stream": {
        goesOn = false;
        const body = new ReadableStream({
          async start(controller) {
            controller.enqueue(new TextEncoder().encode("data: 1\\n\\n"));
            while (!goesOn) await scheduler.wait(10);
            controller.enqueue(new TextEncoder().encode("data: 2\\n\\n"));
            controller.close();
          },
        });
        return new Response(body, { headers: { "content-type": "text/event-stream" } });
      }
    }
    const headers = new Headers({ "content-type": "application/json" });
    headers.append("set-cookie", "a=1");
    headers.append("set-cookie", "b=2");
    return new Response(JSON.stringify({ protocol, url: request.url, headers: [...request.headers], body: await request.text() }), { headers });
  },
};`;

const CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "gate", worker = (
    modules = [(name = "gate.js", esModule = embed "gate.js")],
    compatibilityDate = "2026-08-01",
    compatibilityFlags = ["nodejs_compat", "enable_request_signal"]))],
  sockets = [(name = "gate", address = "unix:gate.sock", http = (forwardedProtoHeader = "x-forwarded-proto"), service = "gate")]
);`;

/** A gate in a workerd of its own, on a Unix socket. */
export class TestGate implements AsyncDisposable {
  readonly socketPath: string;
  /** The events that it reported. */
  readonly words: string[] = [];
  readonly #folder: string;
  readonly #process: ChildProcess;

  static async start(): Promise<TestGate> {
    const folder = await mkdtemp(join(tmpdir(), "operator-front-"));
    await writeFile(join(folder, "gate.js"), WORKER);
    await writeFile(join(folder, "config.capnp"), CONFIG);
    const gate = new TestGate(folder);
    const untilMs = Date.now() + START_LIMIT_MS;
    while (!existsSync(gate.socketPath)) {
      if (Date.now() > untilMs) throw new Error(`the gate did not start: ${gate.words.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return gate;
  }

  private constructor(folder: string) {
    this.#folder = folder;
    this.socketPath = join(folder, "gate.sock");
    this.#process = spawn(WORKERD, ["serve", "config.capnp"], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.words.push(line));
  }

  /** Resolves once the gate has said it. */
  async says(word: string): Promise<void> {
    const untilMs = Date.now() + START_LIMIT_MS;
    while (!this.words.some((line) => line.includes(word))) {
      if (Date.now() > untilMs) throw new Error(`the gate never said "${word}": ${this.words.join("\n")}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill("SIGKILL");
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}
