import type { Report } from "../workerd/supervisor.ts";
import { connectedPorts } from "./connections.ts";
import type { UserScript } from "./user-script.ts";

/**
 * How often to look for scripts that nobody uses. A script is at rest after one to two of these: the kernel remembers a
 * connection for a minute after its end, so no call in between goes unseen.
 */
const LOOK_MS = 30_000;

/** The longest time that a timer takes. A later alarm is looked at again then. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export type IdleOptions = {
  readonly scripts: () => readonly UserScript[];
  readonly report: Report;
  readonly lookMs?: number;
  readonly connected?: () => Promise<ReadonlySet<number> | null>;
  readonly now?: () => number;
};

/**
 * Ends the processes of scripts that have no link and no call, so that a machine which is switched off costs no memory. The next
 * call starts the script again. So does the alarm of one of its Durable Objects: workerd fires alarms only while it runs, so
 * this class starts the script at that time.
 */
export class IdleScripts {
  readonly #options: IdleOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #alarms = new Map<UserScript, NodeJS.Timeout>();
  /** Scripts that had no connection at the last look. */
  #unused = new Set<UserScript>();
  /** Ends and starts, one after the other: forty alarms of one minute must not start forty processes at once. */
  #last: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: IdleOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      this.#queue(() => this.#look());
    }, options.lookMs ?? LOOK_MS);
    this.#timer.unref();
  }

  /** Starts the scripts whose alarms are due, one after the other, and the others when theirs are. */
  async wake(): Promise<void> {
    // Nobody waits for these starts, and a script that is called meanwhile must not wait behind them.
    for (const script of this.#options.scripts()) {
      if (this.#isStopped) return;
      await this.#await(script);
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearInterval(this.#timer);
    for (const timer of this.#alarms.values()) clearTimeout(timer);
    await this.#last;
  }

  #queue(work: () => Promise<void>): void {
    this.#last = this.#last
      .then(() => (this.#isStopped ? undefined : work()))
      .catch((error: unknown) => this.#options.report(String(error)));
  }

  async #look(): Promise<void> {
    const ports = await (this.#options.connected ?? connectedPorts)();
    if (ports === null) return; // it cannot be known who uses what, so everything keeps running
    const unused = this.#options.scripts().filter(({ pid, port }) => pid !== null && port !== null && !ports.has(port));
    const resting = unused.filter((script) => this.#unused.has(script));
    this.#unused = new Set(unused);
    for (const script of resting) {
      if (this.#isStopped) return;
      await script.rest();
      this.#unused.delete(script);
      await this.#await(script);
    }
  }

  /** Starts the script when its next alarm is due; at once, if that is the past. */
  async #await(script: UserScript): Promise<void> {
    clearTimeout(this.#alarms.get(script));
    this.#alarms.delete(script);
    const { report, now = Date.now } = this.#options;
    try {
      const dueMs = await script.nextAlarmMs();
      if (dueMs === null) return;
      if (dueMs <= now()) return await script.wake();
      const timer = setTimeout(() => this.#queue(() => this.#await(script)), Math.min(dueMs - now(), MAX_TIMER_MS));
      timer.unref();
      this.#alarms.set(script, timer);
    } catch (error) {
      report(`machine script ${script.name} did not start: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
