import { AsyncLocalStorage } from "node:async_hooks";

/** A simulated object (object.ts), as far as time concerns it. `life` counts its instances. */
type Owner = {
  readonly life: number;
  schedule(afterS: number, method: string, payload: unknown): void;
};

type Timer = {
  readonly id: number;
  readonly atMs: number;
  readonly owner: Owner | null;
  readonly life: number;
  readonly fire: () => void;
};

/** Far from any real time, so that nothing which uses the real clock by mistake looks right. 2040-01-01. */
const EPOCH_MS = 2_208_988_800_000;

/** Ticks without any activity, after which nothing more happens by itself: no chain of promises is that long. */
const QUIET_TICKS = 30;

/** If the code under simulation is not quiet after this long, it goes round in circles. Real milliseconds; an SDK's retry takes a second. */
const RESTLESS_MS = 20_000;

/**
 * The simulated runtime's heart: one clock for everything, its timers, and a count of what is under way. Nothing happens in the code
 * under simulation unless the simulator lets it, one thing after the other, so a seed always gives the same run.
 */
class Kernel {
  /** Monotonic simulated time, by which timers run. Milliseconds. */
  nowMs = EPOCH_MS;
  /** How far the clock that programs see is off: it may be set while they run. */
  skewMs = 0;
  /** What the code under simulation wrote to the console. */
  readonly lines: string[] = [];
  /** The object that the running code belongs to. */
  readonly running = new AsyncLocalStorage<Owner>();
  readonly #timers = new Map<number, Timer>();
  #nextTimer = 1;
  #underWay = 0;
  #activity = 0;
  /** Counts the runs. A run that failed may leave operations behind, which settle during the next one. */
  #run = 0;
  #highestSkewMs = 0;

  reset(): void {
    this.nowMs = EPOCH_MS;
    this.skewMs = 0;
    this.#highestSkewMs = 0;
    this.lines.length = 0;
    this.#timers.clear();
    this.#underWay = 0;
    this.#run += 1;
  }

  /** Sets the clock that programs see, forward or back. */
  jump(ms: number): void {
    this.skewMs += ms;
    this.#highestSkewMs = Math.max(this.#highestSkewMs, this.skewMs);
  }

  /** By how much the clock may have delayed an alarm that was set before the clock was set back. Milliseconds. */
  get lateMs(): number {
    return this.#highestSkewMs - this.skewMs;
  }

  /** Notes that the code under simulation does something. */
  touch(): void {
    this.#activity += 1;
  }

  /** Counts an operation that settles without the simulator's help. */
  async during<Value>(operation: Promise<Value>): Promise<Value> {
    const run = this.#run;
    this.#underWay += 1;
    this.touch();
    try {
      return await operation;
    } finally {
      // One of an earlier run is not in this run's count. If it were taken off it, no run after a failed one would ever come to rest.
      if (run === this.#run) this.#underWay -= 1;
      this.touch();
    }
  }

  setTimer(fire: () => void, afterMs: number): number {
    const owner = this.running.getStore() ?? null;
    const id = this.#nextTimer++;
    this.#timers.set(id, { id, atMs: this.nowMs + Math.max(0, afterMs), owner, life: owner?.life ?? 0, fire });
    return id;
  }

  clearTimer(id: number): void {
    this.#timers.delete(id);
  }

  /** Whether an object has timers, with which the runtime would not let it hibernate. */
  hasTimers(owner: Owner): boolean {
    return [...this.#timers.values()].some((timer) => timer.owner === owner && timer.life === owner.life);
  }

  /** When the next timer is due; `null` if there is none. */
  get nextTimerMs(): number | null {
    const times = [...this.#timers.values()].map(({ atMs }) => atMs);
    return times.length === 0 ? null : Math.min(...times);
  }

  /** Runs the timers that are due, in order. Those of an object that was stopped since do not run. */
  fireTimers(): void {
    const due = [...this.#timers.values()].filter(({ atMs }) => atMs <= this.nowMs);
    for (const { id, owner, life, fire } of due.sort((one, other) => one.atMs - other.atMs || one.id - other.id)) {
      if (!this.#timers.delete(id)) continue;
      if (owner === null) fire();
      else if (owner.life === life) this.running.run(owner, fire);
    }
  }

  /**
   * Waits until everything that goes on by itself has come to rest. Mostly that takes no turn of the real event loop, at which the
   * runtime would write to the disk.
   */
  async settle(): Promise<void> {
    const began = performance.now();
    while (performance.now() - began < RESTLESS_MS) {
      let seen = this.#activity;
      for (let quiet = 0; quiet < QUIET_TICKS; quiet += 1) {
        await Promise.resolve();
        if (this.#activity !== seen) [quiet, seen] = [0, this.#activity];
      }
      if (this.#underWay === 0) return;
      await scheduler.wait(0);
    }
    throw new Error("the code under simulation does not come to rest");
  }
}

export const kernel = new Kernel();
