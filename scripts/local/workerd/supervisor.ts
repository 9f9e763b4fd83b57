import { setTimeout as sleep } from "node:timers/promises";
import { Backoff } from "./backoff.ts";
import type { Config } from "./config.ts";
import { StartFailure, startWorkerd } from "./process.ts";
import type { Workerd } from "./process.ts";

/** How long a caller waits for a workerd that is on its way back before it is told no. */
const RESTART_WAIT_MS = 10_000;

/** Node hears of a child's death within milliseconds; longer than this it was no death. */
const END_WAIT_MS = 2_000;

export type Report = (line: string) => void;

export interface SupervisorOptions {
  readonly name: string;
  /** Called before every start, so that a restart may get another port. */
  readonly config: () => Promise<Config>;
  readonly report: Report;
  /** The lines that the Workers themselves print. */
  readonly log?: Report;
}

interface Run {
  readonly workerd: Workerd;
  readonly startedMs: number;
}

/** One workerd process, kept running. One that crashes is started again, later and later while it keeps crashing. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #backoff = new Backoff();
  #run: Run | undefined;
  #starting: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #wanted = false;
  /** When the last workerd was seen dead: a call begun later than this cannot have reached it. */
  #endedMs = 0;

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  get endedMs(): number {
    return this.#endedMs;
  }

  /** When the workerd that runs now was ready; 0 while none runs. */
  get startedMs(): number {
    return this.#run?.startedMs ?? 0;
  }

  /** The process that runs now; null while none does. */
  get pid(): number | null {
    return this.#run?.workerd.pid ?? null;
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
      else if (Date.now() >= deadline) throw new StartFailure(`${this.#options.name} keeps crashing`);
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
      // The caller that asked for the start has the error. Here only the end of the start matters.
    });
    const run = this.#run;
    this.#run = undefined;
    if (!run) return;
    await run.workerd.kill();
    this.#endedMs = Date.now();
  }

  async #launch(): Promise<void> {
    const { name, config, log = () => {} } = this.#options;
    let workerd: Workerd;
    try {
      workerd = await startWorkerd(name, await config(), log);
    } catch (error) {
      this.#endedMs = Date.now();
      throw error;
    }
    const run = { workerd, startedMs: Date.now() };
    this.#run = run;
    void workerd.ended.then(() => this.#crashed(run));
  }

  #crashed(run: Run): void {
    if (this.#run !== run) return; // it was stopped
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
