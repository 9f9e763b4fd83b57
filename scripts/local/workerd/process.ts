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
import { readOutput } from "./output.ts";
import { killWithUs } from "./reaper.ts";
import { runtimeFolder } from "./runtime-folder.ts";

/** A cold workerd takes 0.1 to 0.3 s; a busy two-core box has been seen at fifty times that. */
const START_TIMEOUT_MS = 30_000;
/** A process that has ended has nothing more to write; one that hangs is not waited for. */
const LAST_WORDS_MS = 1_000;

export class StartFailure extends Error {
  override name = "StartFailure";
  readonly addressInUse: boolean;

  constructor(message: string, { addressInUse = false, cause }: { addressInUse?: boolean; cause?: unknown } = {}) {
    super(message, { cause });
    this.addressInUse = addressInUse;
  }
}

/** What workerd says on its control pipe when one of its sockets listens. */
const Listening = z.object({ event: z.literal("listen"), socket: z.string() });

export interface Workerd {
  readonly pid: number;
  /** Resolves when the process has ended, however it did. */
  readonly ended: Promise<void>;
  /** Kills it; its databases are made for that. Resolves when it has ended. */
  kill(): Promise<void>;
}

/**
 * Starts `workerd serve` and resolves once all sockets of the configuration listen.
 * @throws StartFailure with what workerd said
 */
export async function startWorkerd(name: string, config: Config, log: (line: string) => void): Promise<Workerd> {
  const path = join(runtimeFolder(), `${randomUUID()}.capnp`);
  const said: string[] = [];
  let running = false;
  try {
    await writeFile(path, writeConfig({ structuredLogging: true, ...config }), { mode: 0o600 });
    const child = run(path, config);
    killWithUs(child);
    const ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
      child.once("error", (error) => {
        said.push(error.message); // it could not be started at all
        resolve();
      });
    });
    const silent = new Promise<void>((resolve) => child.once("close", () => setImmediate(resolve)));
    for (const stream of [child.stdout, child.stderr])
      if (stream)
        readOutput(stream, ({ level, message }) => {
          if (!running) said.push(message);
          if (running || level !== "error") log(message);
        });
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
      // Its exit is known before its last words are read.
      await Promise.race([silent, sleep(LAST_WORDS_MS)]);
      const addressInUse = said.some((line) => line.includes("Address already in use"));
      const why = outcome === "late" ? `${name} did not start in time` : `${name} ended while it started`;
      throw new StartFailure(explainFailure(why, said), { addressInUse });
    }
    running = true;
    return { pid: child.pid ?? 0, ended, kill };
  } finally {
    await rm(path, { force: true }); // it has been read, and it holds secrets
  }
}

function run(path: string, { services }: Config): ChildProcess {
  const { default: installed } = createRequire(import.meta.url)("workerd") as { default: string };
  // The benchmark's profiler puts a program in front of it that adds an inspector.
  const binary = process.env["OPERATOR_WORKERD"] || installed;
  const isExperimental = services.some(({ worker }) => worker?.compatibilityFlags?.includes("experimental"));
  const args = [
    "serve",
    "--import-path=/", // what a file embeds is named by its whole path
    "--control-fd=3",
    ...(isExperimental ? ["--experimental"] : []),
    path,
    CONSTANT,
  ];
  const [command, ...rest] = [...deathSignal(), binary, ...args];
  return spawn(command ?? binary, rest, {
    stdio: ["ignore", "pipe", "pipe", "pipe"],
    // A session of its own: Ctrl-C reaches `npm start` alone, which then ends its children in order.
    detached: true,
    env: { ...process.env, TZ: "UTC" },
  });
}

function allListen(child: ChildProcess, names: readonly string[]): Promise<void> {
  const missing = new Set(names);
  return new Promise((resolve) => {
    const control = child.stdio[3] as Readable; // asked for as a pipe
    createInterface({ input: control }).on("line", (line) => {
      missing.delete(Listening.safeParse(JSON.parse(line)).data?.socket ?? "");
      if (missing.size === 0) resolve();
    });
  });
}
