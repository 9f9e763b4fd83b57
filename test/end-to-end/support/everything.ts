import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { peerBin } from "../../peers/bin.ts";
import { unusedPort } from "../../support/unused-port.ts";

/** Somebody else may take the port in the moment between finding it free and using it. */
const ATTEMPTS = 5;

/** The reference server over HTTP, as its own process: sessions, resumable streams, requests of its own. */
export class Everything implements AsyncDisposable {
  readonly url: URL;
  readonly #process: ChildProcess;

  static async start(): Promise<Everything> {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      const port = await unusedPort();
      const child = spawn(process.execPath, [peerBin("mcp-server-everything"), "streamableHttp"], {
        env: { ...process.env, PORT: String(port) },
        stdio: ["ignore", "pipe", "pipe"],
      });
      const isUp = await new Promise<boolean>((resolve) => {
        for (const stream of [child.stdout, child.stderr]) {
          let said = "";
          stream.setEncoding("utf8").on("data", (text: string) => {
            said += text;
            if (/listening on port/.test(said)) resolve(true);
          });
        }
        child.once("exit", () => resolve(false));
      });
      if (isUp) return new Everything(new URL(`http://127.0.0.1:${port}/mcp`), child);
    }
    throw new Error("server-everything did not start");
  }

  private constructor(url: URL, process: ChildProcess) {
    this.url = url;
    this.#process = process;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill("SIGKILL");
    await once(this.#process, "exit");
  }
}
