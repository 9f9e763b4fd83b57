import { OperatorFailure } from "#protocol/error.ts";
import type { Env } from "../env.ts";
import { machineState } from "./machine-state.ts";

/**
 * A call may wait for minutes, since tools work for minutes. It must not wait for a script that has stopped: a process that
 * hangs answers nothing, and breaks no connection either. So a caller who has heard nothing for this long asks the script
 * how it is, which it answers by itself and at once, whatever the machine does. Only slow calls pay for it.
 */
const LOOK_EVERY_MS = 20_000;

/** One look that is not answered may be a busy moment; two in a row, of 5 s each, are a script that hangs. */
const MISSES = 2;

/** The bound that the two above give: by then a call to a script that hangs has failed. */
export const FROZEN_AFTER_MS = 30_000;

/** Asks the script whether it is there: `false` when it gave no answer in time. Any answer, an error too, is a sign of life. */
export type Look = () => Promise<boolean>;

/**
 * Watches over one call for a script that has stopped, independently of that script. Its timer is never cancelled, since that
 * would cost every call more than the timer itself: one that fires too early waits for the rest, and one whose call is over does nothing.
 */
export class ScriptWatch {
  readonly #look: Look;
  readonly #frozen: () => void;
  readonly #everyMs: number;
  /** When to look next; moves on with everything that is heard. `null`: a look is under way. */
  #dueMs: number | null = null;
  #misses = 0;
  #isOver = false;

  /** @param frozen called once, when the script is found not to answer. */
  constructor(look: Look, frozen: () => void, everyMs = LOOK_EVERY_MS) {
    this.#look = look;
    this.#frozen = frozen;
    this.#everyMs = everyMs;
    this.#wait(everyMs);
  }

  /** Something came from the script: the time begins anew. */
  heard(): void {
    this.#misses = 0;
    const wasLooking = this.#dueMs === null;
    this.#dueMs = Date.now() + this.#everyMs;
    if (wasLooking) this.#arm(this.#everyMs);
  }

  /** The call is over, or its answer has begun. */
  end(): void {
    this.#isOver = true;
  }

  #wait(ms: number): void {
    this.#dueMs = Date.now() + ms;
    this.#arm(ms);
  }

  #arm(ms: number): void {
    setTimeout(() => {
      if (this.#isOver || this.#dueMs === null) return;
      const leftMs = this.#dueMs - Date.now();
      if (leftMs > 0) return this.#arm(leftMs);
      this.#dueMs = null;
      void this.#check();
    }, ms);
  }

  async #check(): Promise<void> {
    const isAlive = await this.#look();
    // Something was heard, or the call ended, while the look was under way.
    if (this.#isOver || this.#dueMs !== null) return;
    this.#misses = isAlive ? 0 : this.#misses + 1;
    if (this.#misses < MISSES) {
      this.#wait(isAlive ? this.#everyMs : 0);
      return;
    }
    this.#isOver = true;
    this.#frozen();
  }
}

/** Asks a machine's script for its state. */
export function lookAt(env: Env, user: string, machine: string): Look {
  return async () => {
    try {
      await machineState(env, user, machine);
      return true;
    } catch (reason) {
      return !(reason instanceof OperatorFailure && reason.error.code === "machine_timeout");
    }
  };
}
