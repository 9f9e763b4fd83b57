import { spawn, type ChildProcess } from "node:child_process";
import { childEnvironment } from "../../system/child-environment.ts";
import { UnfinishedLine } from "../../system/unfinished-line.ts";

/** The largest message of a child. Larger than any result that clients accept; an endless line must not fill the memory. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

/** What may wait for a child that does not read. A single message has at most as much. */
const MAX_UNREAD_BYTES = 64 * 1024 * 1024;

/** Time between asking a child to end (closing its standard input, SIGTERM) and SIGKILL. */
const END_TIMEOUT_MS = 3_000;

/** How long a child's output is read after its exit. A process that has left its group may keep the pipes open. */
const DRAIN_TIMEOUT_MS = 1_000;

/** How much of a child's standard error is kept, to explain its death. */
const TAIL_CHARACTERS = 4_000;
const TAIL_LINES = 20;

export type ChildSpec = { readonly command: string; readonly args: readonly string[]; readonly cwd: string };

/** How a child ended. `why` is shown to the caller. */
export type Ended = {
  readonly why: string;
  /** Whether the process was started. If so, calls that were written to it may have been carried out. */
  readonly wasStarted: boolean;
};

export type ChildListener = {
  /** A line of standard output, without its end. */
  line(line: Buffer): void;
  /** Called once, when the process is gone. */
  ended(ended: Ended): void;
};

/**
 * A server as a child process that exchanges lines. It has its own process group, so that everything it started can be ended
 * with it.
 */
export class Child {
  readonly #process: ChildProcess;
  readonly #listener: ChildListener;
  readonly #gone: Promise<void>;
  readonly #unfinished = new UnfinishedLine();
  #tail = "";
  #isGone = false;
  #why: string | null = null;

  constructor({ command, args, cwd }: ChildSpec, listener: ChildListener) {
    this.#listener = listener;
    this.#process = spawn(command, args, {
      cwd,
      env: childEnvironment(),
      stdio: ["pipe", "pipe", "pipe"],
      detached: process.platform !== "win32",
    });
    this.#gone = new Promise((resolve) => {
      const end = (why: string): void => {
        if (this.#isGone) return;
        this.#isGone = true;
        // A process that has left the group may hold the other ends, and write for ever.
        for (const pipe of this.#process.stdio) pipe?.destroy();
        resolve();
        listener.ended({ why: this.#describe(why), wasStarted: this.#process.pid !== undefined });
      };
      this.#process.on("error", (failure: NodeJS.ErrnoException) => {
        const hint = failure.code === "ENOENT" ? ". Is the program installed, and on the PATH?" : "";
        if (this.#process.pid === undefined) end(`it could not be started: ${failure.message}${hint}`);
      });
      this.#process.on("exit", () => {
        this.#signal("SIGKILL"); // ends what it left behind in its group, which would also keep its pipes open
        setTimeout(() => end(this.#why ?? exitOf(this.#process)), DRAIN_TIMEOUT_MS).unref();
      });
      // All of its output has been read by now.
      this.#process.on("close", () => end(this.#why ?? exitOf(this.#process)));
    });
    this.#process.stdout?.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#process.stdout?.on("end", () => setTimeout(() => this.#endMute(), DRAIN_TIMEOUT_MS).unref());
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#tail = (this.#tail + text).slice(-TAIL_CHARACTERS);
    });
    this.#process.stdin?.on("error", () => undefined); // it is ending; the exit event says how
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  write(line: Uint8Array | string): void {
    if (this.#isGone || this.#why !== null) return;
    this.#process.stdin?.write(line);
    const waiting = this.#process.stdin?.writableLength ?? 0;
    if (waiting > MAX_UNREAD_BYTES + line.length) void this.end(`it left over ${MAX_UNREAD_BYTES} bytes unread`);
  }

  /** Ends the child and everything that it started. Resolves when it is gone. */
  async end(why: string): Promise<void> {
    this.#why ??= why;
    if (this.#isGone) return;
    this.#process.stdin?.end();
    this.#signal("SIGTERM");
    const timer = setTimeout(() => this.#signal("SIGKILL"), END_TIMEOUT_MS);
    await this.#gone;
    clearTimeout(timer);
  }

  /** Nobody would ever hear from a child that has closed its output and goes on. The output of one that has exited ends just before its exit is known. */
  #endMute(): void {
    const { exitCode, signalCode } = this.#process;
    if (exitCode === null && signalCode === null) void this.end("it closed its standard output");
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      if (process.platform === "win32") this.#process.kill(signal);
      else process.kill(-pid, signal);
    } catch (reason) {
      // ESRCH: the group is empty, as intended. macOS reports EPERM for a group of zombies.
      if (!(reason instanceof Error && "code" in reason && (reason.code === "ESRCH" || reason.code === "EPERM")))
        throw reason;
    }
  }

  #read(chunk: Buffer): void {
    let from = 0;
    for (let to = chunk.indexOf(0x0a); to !== -1; to = chunk.indexOf(0x0a, from)) {
      const end = chunk.subarray(from, to);
      from = to + 1;
      if (this.#unfinished.length === 0) this.#deliver(end);
      else {
        this.#unfinished.add(end);
        this.#deliver(this.#unfinished.take());
      }
    }
    if (from === chunk.length) return;
    this.#unfinished.add(chunk.subarray(from));
    if (this.#unfinished.length <= MAX_LINE_BYTES) return;
    this.#unfinished.take();
    void this.end(`it wrote a line of over ${MAX_LINE_BYTES} bytes`);
  }

  #deliver(line: Buffer): void {
    const text = line.at(-1) === 0x0d ? line.subarray(0, -1) : line;
    if (text.length === 0) return;
    try {
      this.#listener.line(text);
    } catch (reason) {
      // A line that nobody was prepared for ends its own server, and not the connector with all of its calls.
      void this.end(`it wrote a line that cannot be read: ${String(reason)}`);
    }
  }

  #describe(why: string): string {
    const tail = this.#tail.trim().split("\n").slice(-TAIL_LINES).join("\n");
    return tail === "" ? why : `${why}. Its last words:\n${tail}`;
  }
}

function exitOf({ exitCode, signalCode }: ChildProcess): string {
  return signalCode === null ? `it ended with exit code ${exitCode ?? "unknown"}` : `it was ended by ${signalCode}`;
}
