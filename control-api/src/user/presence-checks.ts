import type { Presence } from "#protocol/script-api.ts";
import { machineState } from "../machines/machine-state.ts";
import type { DispatchBindings } from "../machines/script-client.ts";
import type { Registry } from "./registry.ts";

/** Seconds until a script that did not answer is checked again. The time doubles with each check. */
const DOUBT_AGAIN_S = 15;

/** Number of such checks, which take more than an hour together. A script that works again has sent a report of its own by then. */
const DOUBT_TIMES = 8;

/** Scripts that a rebuilt registry asks at the same time. A thousand machines take some seconds, and nobody waits for them. */
const RECHECKED_AT_ONCE = 16;

/** A machine whose script did not answer, and how often it was asked since. */
export type Doubt = { name: string; asked: number };

export type CheckPorts = {
  readonly env: DispatchBindings;
  readonly user: () => string;
  readonly registry: Registry;
  /** Has `recheck` called after so many seconds. */
  recheckIn(seconds: number, doubt: Doubt): Promise<void>;
};

/** Asks machines' scripts whether their machines are online, where what they reported last cannot be believed. */
export class PresenceChecks {
  readonly #ports: CheckPorts;

  constructor(ports: CheckPorts) {
    this.#ports = ports;
  }

  /** Records the state that a script answered. */
  correct(slug: string, state: Presence): void {
    this.#ports.registry.record(slug, state, Date.now());
  }

  /**
   * Marks a machine as offline because its script did not answer. If the script only hung for a while, it does not know that it was
   * marked and sends no report, so this object checks it again until it answers.
   */
  async doubt(name: string): Promise<void> {
    if (!this.#ports.registry.doubt(name)) return;
    await this.#ports.recheckIn(DOUBT_AGAIN_S, { name, asked: 1 });
  }

  /** Checks a script that did not answer. */
  async recheck({ name, asked }: Doubt): Promise<void> {
    const known = this.#ports.registry.get(name);
    if (known === null || known.online) return;
    try {
      this.correct(known.slug, await machineState(this.#ports.env, this.#ports.user(), name));
    } catch (reason) {
      console.warn("a machine's script still does not answer", { machine: name, reason: String(reason) });
      if (asked < DOUBT_TIMES) await this.#ports.recheckIn(DOUBT_AGAIN_S * 2 ** asked, { name, asked: asked + 1 });
    }
  }

  /** Asks several scripts for their machines' presence, a few at a time. One that does not answer is asked again later. */
  async recheckAll(names: readonly string[]): Promise<void> {
    const left = names.values();
    const worker = async (): Promise<void> => {
      for (const name of left) await this.recheck({ name, asked: 1 });
    };
    await Promise.all(Array.from({ length: Math.min(RECHECKED_AT_ONCE, names.length) }, worker));
  }

  /** Whether a machine is online, as its script says now. One that does not answer has no link. */
  async isOnline(name: string): Promise<boolean> {
    try {
      const state = await machineState(this.#ports.env, this.#ports.user(), name);
      const known = this.#ports.registry.get(name);
      if (known !== null) this.correct(known.slug, state);
      return state.online;
    } catch (reason) {
      console.warn("the script of a silent machine does not answer", { machine: name, reason: String(reason) });
      return false;
    }
  }
}
