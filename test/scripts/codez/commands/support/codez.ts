import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/** The launcher with the bundle beside it: what is tested is what ships. */
const BIN = fileURLToPath(new URL("../../../../../scripts/codez/bin.js", import.meta.url));

export type Ended = { readonly code: number | null; readonly out: string; readonly err: string };

/** Less than a test's own limit, whose failure does not show what the program said. */
const LATE_MS = 100_000;

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
    return this.#inTime("not ended", this.#ended);
  }

  /** Waits until it has said something so many times. */
  says(text: string, times = 1): Promise<void> {
    return this.#inTime(`not said "${text}"`, this.#said(text, times));
  }

  async #said(text: string, times: number): Promise<void> {
    while (this.out.split(text).length <= times) {
      if (this.#isOver) throw new Error(`codez ended: ${this.out}${this.err}`);
      await new Promise<void>((resolve) => this.#seen.push(resolve));
    }
  }

  async #inTime<Value>(missing: string, promise: Promise<Value>): Promise<Value> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const fail = () => reject(new Error(`codez has ${missing} in ${LATE_MS / 1_000} s: ${this.out}${this.err}`));
    const timer = setTimeout(fail, LATE_MS);
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGTERM");
    await this.#ended;
  }
}

export function codez(home: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Codez(home, args, env).ended();
}
