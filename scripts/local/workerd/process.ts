import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import * as z from "zod";
import { CONSTANT, writeConfig } from "./config.ts";
import type { Config } from "./config.ts";
import { deathSignal } from "./death-signal.ts";
import { explainFailure } from "./failure.ts";
import { readOutput, type Said } from "./output.ts";
import type { OutputPace } from "./output-pace.ts";
import { limitedBy, type MemoryLimits } from "./memory-limit.ts";
import { killWithUs } from "./reaper.ts";
import { runtimeFolder } from "./runtime-folder.ts";

/** A cold start of workerd takes 0.1 to 0.3 s. Fifty times that was measured on a busy two-core computer. */
const START_TIMEOUT_MS = 30_000;
/** How long to wait for the remaining output of a process that has ended. A child of its own could hold the pipe open. */
const LAST_WORDS_MS = 1_000;
/** Messages that are kept to explain a failed start: the last ones. A script can print without end while it starts. */
const MAX_SAID = 100;

/**
 * Megabytes of JavaScript heap per isolate. A Worker on Cloudflare gets 128 MB in all, so ours stay well below. At this limit V8 ends
 * the process, and it is started again; without one, load leaves hundreds of megabytes behind on a small computer.
 */
const HEAP_MB = 256;

/**
 * Megabytes of each half of V8's young generation. V8 lets it grow to 16 under load and keeps it. A request's objects fit into 2: with
 * that, the gate's processor time for 5,000 calls is the same, and it keeps 10 to 20 MB less.
 */
const SEMI_SPACE_MB = 2;

/**
 * workerd's allocator (tcmalloc) keeps a cache for each CPU only if it can register with the kernel for restartable sequences (rseq).
 * A thread can register once, and glibc does so first since 2.35 unless this tells it not to. Without it tcmalloc uses its older caches for
 * each thread: of a loop that only makes and copies requests, the allocator then takes 14 % of the time instead of 10 %. Other systems
 * ignore the variable.
 */
export const TUNABLES = "glibc.pthread.rseq=0";

/** An idle process ends within milliseconds. One that took a connection at that moment may need longer. */
const DRAIN_MS = 5_000;

export class StartFailure extends Error {
  override name = "StartFailure";
  readonly addressInUse: boolean;

  constructor(message: string, { addressInUse = false, cause }: { addressInUse?: boolean; cause?: unknown } = {}) {
    super(message, { cause });
    this.addressInUse = addressInUse;
  }
}

/** What workerd writes to its control pipe when one of its sockets listens. */
const Listening = z.object({ event: z.literal("listen"), socket: z.string() });

export interface Workerd {
  readonly pid: number;
  /** Resolves when the process has ended, for any reason. Never rejects. */
  readonly ended: Promise<void>;
  /** Kills it with SIGKILL, which its SQLite databases survive: they recover from their logs. Resolves when it has ended. */
  kill(): Promise<void>;
  /**
   * Lets it complete the requests that it has accepted, accept no others, and end (SIGTERM). Resolves with whether it did so
   * within DRAIN_MS; otherwise it was killed.
   */
  drain(): Promise<boolean>;
}

/**
 * Starts `workerd serve` and resolves once all sockets of the configuration listen. workerd reports each listening socket
 * on a pipe (`--control-fd`), so nothing polls the ports. The configuration goes through a file because it contains
 * secrets, which other users could read in the arguments or the environment of a process; the file is deleted after the start.
 * @param limits of the process's memory; `null`: none
 * @throws StartFailure with what workerd printed
 */
export async function startWorkerd(
  name: string,
  config: Config,
  log: (line: string) => void,
  heapMb = HEAP_MB,
  pace: OutputPace | null = null,
  limits: MemoryLimits | null = null,
): Promise<Workerd> {
  const path = join(runtimeFolder(), `${randomUUID()}.capnp`);
  const said: string[] = [];
  let running = false;
  try {
    const v8Flags = [`--max-heap-size=${heapMb}`, `--max-semi-space-size=${SEMI_SPACE_MB}`];
    const whole = { structuredLogging: true, v8Flags, ...config };
    await writeFile(path, writeConfig(whole), { mode: 0o600 });
    const child = run(path, config, limits);
    killWithUs(child);
    const ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", (error) => {
        said.push(error.message); // the program could not be started; no "exit" follows
        resolve();
      });
    });
    const silent = new Promise<void>((resolve) => child.once("close", () => setImmediate(resolve)));
    // Until the start has succeeded, errors are collected for the StartFailure instead of being logged.
    const hear = ({ level, message }: Said): void => {
      if (!running && said.push(message) > MAX_SAID) said.shift();
      if (running || level !== "error") log(message);
    };
    for (const stream of [child.stdout, child.stderr]) if (stream) readOutput(stream, hear, pace);
    const kill = async () => {
      child.kill("SIGKILL");
      await ended;
    };
    const names = config.sockets.map((socket) => socket.name);
    const outcome = await Promise.race([
      allListen(child, names).then(() => "listening" as const),
      ended.then(() => "ended" as const),
      sleep(START_TIMEOUT_MS, "late" as const, { ref: false }),
    ]);
    if (outcome !== "listening") {
      await kill();
      // The exit is reported before the last output has been read.
      await Promise.race([silent, sleep(LAST_WORDS_MS)]);
      const addressInUse = said.some((line) => line.includes("Address already in use"));
      const why = outcome === "late" ? `${name} did not start in time` : `${name} ended while it started`;
      throw new StartFailure(explainFailure(why, said), { addressInUse });
    }
    running = true;
    const drain = async () => {
      child.kill("SIGTERM");
      const isOver = await Promise.race([ended.then(() => true), sleep(DRAIN_MS, false, { ref: false })]);
      if (!isOver) await kill();
      return isOver && child.exitCode === 0;
    };
    return { pid: child.pid ?? 0, ended, kill, drain };
  } finally {
    await rm(path, { force: true }); // workerd has read it, and it contains secrets
  }
}

function run(path: string, { services }: Config, limits: MemoryLimits | null): ChildProcess {
  const { default: installed } = createRequire(import.meta.url)("workerd") as { default: string };
  // The profiler of the benchmarks sets this to a wrapper that adds an inspector.
  const binary = process.env["OPERATOR_WORKERD"] || installed;
  const isExperimental = services.some(({ worker }) => worker?.compatibilityFlags?.includes("experimental"));
  const args = [
    "serve",
    "--import-path=/", // embedded files are named by absolute path
    "--control-fd=3",
    ...(isExperimental ? ["--experimental"] : []),
    path,
    CONSTANT,
  ];
  const limited = limits === null ? [] : limitedBy(limits);
  const [command, ...rest] = [...deathSignal(), ...limited, binary, ...args];
  return spawn(command ?? binary, rest, {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    // A separate session, so that Ctrl-C in the terminal reaches only `npm start`, which then stops its children in order.
    detached: true,
    env: { ...process.env, TZ: "UTC", GLIBC_TUNABLES: tunables(process.env["GLIBC_TUNABLES"]) },
  });
}

/** @param own what this process was started with. It comes last, because glibc uses the last value of a name. */
function tunables(own = ""): string {
  return own === "" ? TUNABLES : `${TUNABLES}:${own}`;
}

function allListen(child: ChildProcess, names: readonly string[]): Promise<void> {
  const missing = new Set(names);
  return new Promise((resolve) => {
    const control = child.stdio[3] as Readable; // `stdio` above makes it a pipe
    createInterface({ input: control }).on("line", (line) => {
      missing.delete(Listening.safeParse(JSON.parse(line)).data?.socket ?? "");
      if (missing.size === 0) resolve();
    });
  });
}
