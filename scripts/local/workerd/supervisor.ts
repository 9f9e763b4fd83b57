import { Miniflare, MiniflareCoreError, NoOpLog } from "miniflare";
import type { MiniflareOptions } from "miniflare";
import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "./backoff.ts";
import { watchChildren } from "./children.ts";
import { explainFailure } from "./failure.ts";

/** A cold workerd takes 0.1 to 0.8 s; a busy two-core box has been seen at ten times that. */
const START_TIMEOUT_MS = 30_000;
/** How long a caller waits for a workerd that is on its way back before it is told no. */
export const RESTART_WAIT_MS = 10_000;

/** Node hears of a child's death within milliseconds; longer than this it was no death. */
const END_WAIT_MS = 2_000;
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

export type Report = (line: string) => void;

export interface SupervisorOptions {
  readonly name: string;
  /** Called before every start, so that a restart may get another port. */
  readonly options: () => Promise<MiniflareOptions>;
  readonly report: Report;
  /** The lines that the Workers themselves print. */
  readonly log?: Report;
}

interface Run {
  readonly instance: Miniflare;
  readonly startedMs: number;
}

/**
 * One Miniflare instance, which is one workerd process, kept running. Miniflare would restart a crashed workerd itself,
 * but at once, for ever and on a port that may be taken by then; so a crash ends the instance, and the next one is ours.
 */
export class Supervisor {
  readonly #config: SupervisorOptions;
  readonly #backoff = new Backoff();
  #run: Run | undefined;
  #starting: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #wanted = false;
  /** When the last workerd was seen dead: a call begun later than this cannot have reached it. */
  #endedMs = 0;

  constructor(config: SupervisorOptions) {
    this.#config = config;
  }

  get endedMs(): number {
    return this.#endedMs;
  }

  /** When the workerd that runs now was ready; 0 while none runs. */
  get startedMs(): number {
    return this.#run?.startedMs ?? 0;
  }

  /** Starts it, unless it runs. @throws StartFailure with what workerd said */
  async start(): Promise<void> {
    this.#wanted = true;
    if (this.#run) return;
    this.#starting ??= this.#launch().finally(() => (this.#starting = undefined));
    await this.#starting;
  }

  /** Resolves once it runs. @throws StartFailure when it is not back within RESTART_WAIT_MS */
  async ready(): Promise<void> {
    const deadline = Date.now() + RESTART_WAIT_MS;
    while (!this.#run) {
      if (this.#starting || !this.#retry) await this.start();
      else if (Date.now() >= deadline) throw new StartFailure(`${this.#config.name} keeps crashing`);
      else await sleep(25);
    }
  }

  /** Resolves once the run that began then is seen to be over, or after END_WAIT_MS at the latest. */
  async ended(startedMs: number): Promise<void> {
    const deadline = Date.now() + END_WAIT_MS;
    while (this.startedMs === startedMs && Date.now() < deadline) await sleep(5);
  }

  async stop(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    await this.#starting?.catch(() => {
      // Whoever asked for the start has the error; here only its end matters.
    });
    const run = this.#run;
    this.#run = undefined;
    if (!run) return;
    await dispose(run.instance);
    this.#endedMs = Date.now();
  }

  async #launch(): Promise<void> {
    const said: string[] = [];
    const options = await this.#config.options();
    let run: Run | undefined;
    let closed = Promise.resolve();
    const instance = watchChildren(
      (child) => {
        child.once("exit", () => run && this.#crashed(run));
        closed = new Promise((resolve) => child.once("close", () => setImmediate(resolve)));
      },
      () =>
        new Miniflare({
          ...options,
          // Neither the network nor the terminal is Miniflare's to use.
          cf: false,
          logRequests: false,
          log: new NoOpLog(),
          handleStructuredLogs: ({ level, message }) => {
            if (!run) said.push(message);
            if (run || level !== "error") this.#config.log?.(message);
          },
        }),
    );
    try {
      await withDeadline(instance.ready, START_TIMEOUT_MS, `${this.#config.name} did not start in time`);
    } catch (error) {
      // Its exit is known before its last words are read, and disposing throws away what is unread.
      await Promise.race([closed, sleep(LAST_WORDS_MS)]);
      await dispose(instance);
      this.#endedMs = Date.now();
      const addressInUse = error instanceof MiniflareCoreError && error.code === "ERR_ADDRESS_IN_USE";
      throw new StartFailure(explainFailure(error, said), { addressInUse, cause: error });
    }
    run = { instance, startedMs: Date.now() };
    this.#run = run;
  }

  #crashed(run: Run): void {
    if (this.#run !== run) return;
    this.#run = undefined;
    this.#endedMs = Date.now();
    // Disposing marks the instance as ended before Miniflare's own exit handler runs, so it starts nothing.
    void dispose(run.instance);
    this.#scheduleRestart(Date.now() - run.startedMs, "its workerd ended unexpectedly");
  }

  #scheduleRestart(ranMs: number, why: string): void {
    if (!this.#wanted) return;
    const delayMs = this.#backoff.next(ranMs);
    this.#config.report(`${this.#config.name}: ${why}; starting it again${delayMs ? ` in ${delayMs} ms` : ""}`);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (!this.#wanted) return;
      this.start().catch((error: unknown) => {
        this.#scheduleRestart(0, error instanceof Error ? error.message : String(error));
      });
    }, delayMs);
  }
}

async function dispose(instance: Miniflare): Promise<void> {
  try {
    await instance.dispose();
  } catch {
    // dispose() repeats the failure of a start that its caller has already been told about; it cleans up all the same.
  }
}

async function withDeadline<T>(promise: Promise<T>, ms: number, message: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(message)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
