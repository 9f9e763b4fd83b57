import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** The launcher with the bundle beside it: what is tested is what ships. */
const BIN = fileURLToPath(new URL("../../../../../scripts/codez/bin.js", import.meta.url));

export type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

/** A `codez` that runs. */
export class Codez implements AsyncDisposable {
  readonly process: ChildProcess;
  out = "";
  err = "";
  readonly #ended: Promise<Ended>;
  /** Whether it has ended and all that it said was read. */
  #isOver = false;
  #seen: (() => void)[] = [];

  /** @param home what CODEZ_HOME is; nothing of this computer's own is touched. @param bin the program, if it is another copy */
  constructor(home: string, args: readonly string[], env: Record<string, string> = {}, bin = BIN) {
    const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("CODEZ_")));
    this.process = spawn(process.execPath, [bin, ...args], {
      env: { ...clean, XDG_CONFIG_HOME: home, CODEZ_HOME: home, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.process.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.out += text;
      for (const wake of this.#seen.splice(0)) wake();
    });
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.err += text;
    });
    this.#ended = once(this.process, "close").then(([code]) => {
      this.#isOver = true;
      for (const wake of this.#seen.splice(0)) wake();
      return { code, out: this.out, err: this.err };
    });
  }

  ended(): Promise<Ended> {
    return this.#ended;
  }

  /** Waits until it has said something so many times. */
  async says(text: string, times = 1): Promise<void> {
    while (this.out.split(text).length <= times) {
      if (this.#isOver) throw new Error(`codez ended: ${this.out}${this.err}`);
      await new Promise<void>((resolve) => this.#seen.push(resolve));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGTERM");
    await this.#ended;
  }
}

export function codez(home: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Codez(home, args, env).ended();
}
