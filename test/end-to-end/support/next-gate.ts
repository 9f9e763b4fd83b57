import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { unusedPort } from "../../support/unused-port.ts";
import { until } from "./eventually.ts";

const PROJECT = fileURLToPath(new URL("../../peers/next", import.meta.url));
const PROXY = fileURLToPath(new URL("../../../scripts/gates/next/proxy.ts", import.meta.url));
const NEXT = join(PROJECT, "node_modules/next/dist/bin/next");

/** Installing 340 MB and a production build, on a busy computer. */
const PREPARE_LIMIT_MS = 8 * 60_000;

/** A production server of a Next.js project that has scripts/gates/next/proxy.ts. */
export class NextGate implements AsyncDisposable {
  readonly port: number;
  readonly #child: ChildProcess;
  #said = "";

  static async start(env: Readonly<Record<string, string>>): Promise<NextGate> {
    const options = { cwd: PROJECT, timeout: PREPARE_LIMIT_MS, env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1" } };
    if (!existsSync(NEXT)) await promisify(execFile)("npm", ["ci", "--no-audit", "--no-fund"], options);
    // Next.js would install TypeScript and its types to compile the one file.
    const code = stripTypeScriptTypes(readFileSync(PROXY, "utf8"));
    const built = join(PROJECT, "proxy.js");
    const isCurrent =
      existsSync(join(PROJECT, ".next/BUILD_ID")) && existsSync(built) && readFileSync(built, "utf8") === code;
    if (!isCurrent) {
      writeFileSync(built, code);
      await promisify(execFile)(process.execPath, [NEXT, "build"], options);
    }
    const gate = new NextGate(await unusedPort(), env);
    await until("Next.js listens", async () => {
      if (gate.#child.exitCode !== null) throw new Error(`Next.js ended: ${gate.#said}`);
      return fetch(`http://127.0.0.1:${gate.port}/`).then(
        () => true,
        () => false,
      );
    });
    return gate;
  }

  private constructor(port: number, env: Readonly<Record<string, string>>) {
    this.port = port;
    this.#child = spawn(process.execPath, [NEXT, "start", "-H", "127.0.0.1", "-p", String(port)], {
      cwd: PROJECT,
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, NEXT_TELEMETRY_DISABLED: "1", ...env },
    });
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#said += chunk.toString()));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL"); // after SIGTERM it waits for connections that clients keep open
    await ended;
  }
}
