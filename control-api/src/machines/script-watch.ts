import { OperatorFailure } from "#protocol/error.ts";
import type { Env } from "../env.ts";
import { machineState } from "./machine-state.ts";

/**
 * How long a call waits in silence before it checks that the script is alive. Tools may take minutes, so a call must wait that
 * long; but a script that hangs neither answers nor breaks the connection. The script answers a check immediately without
 * asking the machine. Calls faster than this cost nothing extra.
 */
const LOOK_EVERY_MS = 20_000;

/** One check without an answer may be a busy moment. After two in a row, of 5 s each, the script counts as hung. */
const MISSES = 2;

/** The sum of the above: a call to a script that hangs fails after this time at the latest. */
export const FROZEN_AFTER_MS = 30_000;

/** Checks whether a script is alive. Answers `false` if it did not answer in time; any answer counts, even an error. */
export type Look = () => Promise<boolean>;

/**
 * Watches one call for a script that hangs. The timer is never cancelled or moved, because that would cost every call more than
 * the timer itself. If it fires too early it waits for the remaining time, and if the call is over it does nothing.
 */
export class ScriptWatch {
  readonly #look: Look;
  readonly #frozen: () => void;
  readonly #everyMs: number;
  /** When the next check is due; each sign of life postpones it. `null` while a check is running. */
  #dueMs: number | null = null;
  #misses = 0;
  #isOver = false;

  /** @param frozen called once, when the script counts as hung. */
  constructor(look: Look, frozen: () => void, everyMs = LOOK_EVERY_MS) {
    this.#look = look;
    this.#frozen = frozen;
    this.#everyMs = everyMs;
    this.#wait(everyMs);
  }

  /** The script gave a sign of life: restarts the waiting time. */
  heard(): void {
    this.#misses = 0;
    const wasLooking = this.#dueMs === null;
    this.#dueMs = Date.now() + this.#everyMs;
    if (wasLooking) this.#arm(this.#everyMs);
  }

  /** Stops watching: the call is over, or its response has begun. */
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
    // The script gave a sign of life, or the call ended, while the check was running.
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

/** A check that asks a machine's script for its state. */
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
