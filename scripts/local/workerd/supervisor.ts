import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "./backoff.ts";
import type { Config } from "./config.ts";
import type { MemoryLimits } from "./memory-limit.ts";
import type { OutputPace } from "./output-pace.ts";
import { StartFailure, startWorkerd } from "./process.ts";
import type { Workerd } from "./process.ts";

/** How long a caller waits for a workerd that is being restarted before it gets an error. */
const RESTART_WAIT_MS = 10_000;

/** Node reports a child's exit within milliseconds. If nothing was reported by then, the process did not exit. */
const END_WAIT_MS = 2_000;

export type Report = (line: string) => void;

export interface SupervisorOptions {
  readonly name: string;
  /** Called before every start, so that a restart can use another port. */
  readonly config: () => Promise<Config>;
  /** JavaScript heap of each Worker, in megabytes; without it as much as a start on a computer of one's own allows. */
  readonly heapMb?: number | undefined;
  /** What its process gets of the memory, asked before each start; without it as much as there is. */
  readonly limits?: () => MemoryLimits;
  readonly report: Report;
  /** The lines that the Workers themselves print. */
  readonly log?: Report;
  /** How fast those are read; without it as fast as they come. */
  readonly pace?: OutputPace;
  /** Called when a process has ended, for whatever reason. */
  readonly ended?: () => void;
}

interface Run {
  readonly workerd: Workerd;
  readonly startedMs: number;
}

/**
 * Keeps one workerd process running: when it crashes, it is started again, after a growing delay (`Backoff`).
 *
 * `#run` is set while the process runs, `#starting` during a start, `#retry` while a restart is scheduled. `#wanted` says
 * whether it should run at all: a scheduled restart does nothing after stop().
 */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #backoff = new Backoff();
  #run: Run | undefined;
  #starting: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #wanted = false;
  /**
   * When the exit of the last workerd was noticed, which is always after it happened. A call that started later than this
   * cannot have reached that process, so it is safe to send again.
   */
  #endedMs = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  get endedMs(): number {
    return this.#endedMs;
  }

  /** When the current workerd became ready; 0 while none runs. */
  get startedMs(): number {
    return this.#run?.startedMs ?? 0;
  }

  /** Process id of the current workerd; null while none runs. */
  get pid(): number | null {
    return this.#run?.workerd.pid ?? null;
  }

  /** Starts workerd unless it is running. Concurrent callers share one start. @throws StartFailure with what workerd printed */
  async start(): Promise<void> {
    this.#wanted = true;
    if (this.#run) return;
    this.#starting ??= this.#launch().finally(() => (this.#starting = undefined));
    await this.#starting;
  }

  /** Resolves once workerd runs. @throws StartFailure when it does not run within RESTART_WAIT_MS */
  async ready(): Promise<void> {
    const deadline = Date.now() + RESTART_WAIT_MS;
    while (!this.#run) {
      if (this.#starting || !this.#retry) await this.start();
      else if (Date.now() >= deadline) throw new StartFailure(`${this.#options.name} keeps crashing`);
      else await sleep(25);
    }
  }

  /** Resolves once the exit of the run that became ready at `startedMs` was noticed, after END_WAIT_MS at the latest. */
  async ended(startedMs: number): Promise<void> {
    const deadline = Date.now() + END_WAIT_MS;
    while (this.startedMs === startedMs && Date.now() < deadline) await sleep(5);
  }

  async stop(): Promise<void> {
    this.#wanted = false;
    clearTimeout(this.#retry);
    this.#retry = undefined;
    await this.#starting?.catch(() => {
      // The caller of start() gets this error. Here it only matters that the start is over.
    });
    const run = this.#run;
    this.#run = undefined; // before the kill, so that #crashed() does not take it for a crash
    if (!run) return;
    await run.workerd.kill();
    this.#endedMs = Date.now();
  }

  /**
   * Ends a process that nobody uses, until the next start(). workerd first completes what it has accepted, so a call that it did
   * not take was not received: such an end does not count as one in which calls may have been lost (`endedMs`).
   */
  async rest(): Promise<void> {
    if (!this.#wanted || this.#starting !== undefined || this.#retry !== undefined) return; // it is just being started
    const run = this.#run;
    if (!run) return;
    this.#wanted = false;
    this.#run = undefined;
    if (!(await run.workerd.drain())) this.#endedMs = Date.now();
  }

  async #launch(): Promise<void> {
    const { name, config, heapMb, log = () => {}, pace = null, limits } = this.#options;
    let workerd: Workerd;
    try {
      workerd = await startWorkerd(name, await config(), log, heapMb, pace, limits?.() ?? null);
    } catch (error) {
      this.#endedMs = Date.now();
      throw error;
    }
    const run = { workerd, startedMs: Date.now() };
    this.#run = run;
    void workerd.ended.then(() => this.#ended(run));
  }

  #ended(run: Run): void {
    this.#options.ended?.();
    if (this.#run !== run) return; // stop() ended it
    this.#run = undefined;
    this.#endedMs = Date.now();
    this.#scheduleRestart(Date.now() - run.startedMs, "its workerd ended unexpectedly");
  }

  #scheduleRestart(ranMs: number, why: string): void {
    if (!this.#wanted) return;
    const delayMs = this.#backoff.next(ranMs);
    this.#options.report(`${this.#options.name}: ${why}; starting it again${delayMs ? ` in ${delayMs} ms` : ""}`);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      if (!this.#wanted) return;
      this.start().catch((error: unknown) => {
        this.#scheduleRestart(0, error instanceof Error ? error.message : String(error));
      });
    }, delayMs);
  }
}
