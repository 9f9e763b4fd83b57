import { boundedSession } from "#protocol/bounded.ts";
import { EventPage, type EventPush } from "#protocol/event.ts";
import { type ReportedPresence, ScriptPath } from "#protocol/script-api.ts";
import type { History } from "../history/history.ts";
import { FIRST_HISTORY } from "../history/limits.ts";
import { askMachine, type DispatchBindings } from "../machines/script-client.ts";
import type { Registry } from "./registry.ts";

/** Time limit for one page of events of a script that does not push them. Milliseconds. */
const PAGE_TIMEOUT_MS = 5_000;

/** Pages read at a time from a script that does not push: all that its log can hold. */
const MAX_PAGES = 50;

/** Storage key: when the log is trimmed by age next. And the shortest time until then. */
const TRIM_KEY = "trim-history";
const DAY_MS = 24 * 60 * 60_000;
const TRIM_PAUSE_MS = DAY_MS;

export type IntakePorts = {
  readonly ctx: Pick<DurableObjectState, "storage" | "waitUntil">;
  readonly env: DispatchBindings;
  readonly user: () => string;
  readonly registry: Registry;
  readonly history: History;
  /** Has `trim` called after so many seconds. */
  trimIn(seconds: number): Promise<void>;
};

/** How events of machines come into a user's log, and how those that are too old leave it. */
export class EventIntake {
  readonly #ports: IntakePorts;
  /** Machines whose scripts are being asked for their events, because they do not push them. */
  readonly #pulling = new Set<string>();
  /** Whether this instance has seen to it that the log is trimmed by age. */
  #trims = false;

  constructor(ports: IntakePorts) {
    this.#ports = ports;
  }

  /** Stores a push. Answers up to where the machine's log is stored; `null` if there is no such machine or it pushes nothing. */
  take(slug: string, { position }: ReportedPresence, push: EventPush | null): number | null {
    const machine = this.#ports.registry.ofSlug(slug);
    if (machine === null) return null;
    if (push !== null) {
      const stored = this.#ports.history.push(slug, machine.name, push, position.seq);
      // Once per instance is enough: what is in the log is trimmed by age even if nothing is pushed any more.
      if (push.events.length > 0 && !this.#trims) {
        this.#trims = true;
        this.#ports.ctx.waitUntil(this.#trimAt(Date.now() + this.#ports.history.log.retention.days * DAY_MS));
      }
      return stored;
    }
    if (position.seq === 0) return null;
    const state = this.#ports.history.log.machines.of(slug, machine.name);
    const isBehind = (this.#ports.history.log.machines.storedOf(state, position.epoch) ?? 0) < position.seq;
    if (isBehind && !this.#pulling.has(slug)) this.#ports.ctx.waitUntil(this.#pull(slug, machine.name));
    return null;
  }

  /** Deletes events that are too old, though no machine pushes any more. */
  async trim(): Promise<void> {
    const nextMs = this.#ports.history.log.trimAge(Date.now());
    if (nextMs !== null) await this.#trimAt(nextMs);
  }

  /** Schedules the next trimming, unless one comes earlier anyway. At most one a day. */
  async #trimAt(dueMs: number): Promise<void> {
    const nowMs = Date.now();
    const atMs = Math.max(dueMs, nowMs + TRIM_PAUSE_MS);
    const knownMs = this.#ports.ctx.storage.kv.get<number>(TRIM_KEY) ?? 0;
    if (knownMs > nowMs && knownMs <= atMs) return;
    this.#ports.ctx.storage.kv.put(TRIM_KEY, atMs);
    await this.#ports.trimIn(Math.ceil((atMs - nowMs) / 1000));
  }

  /**
   * Reads the new events of a script whose template does not push them. On Cloudflare such a script runs on until its machine
   * dials again, and is then upgraded.
   */
  async #pull(slug: string, name: string): Promise<void> {
    this.#pulling.add(slug);
    try {
      for (let pages = 0; pages < MAX_PAGES; pages += 1) {
        const known = this.#ports.registry.ofSlug(slug);
        const { epoch } = known?.position ?? {};
        if (known === null || epoch === undefined) return;
        const state = this.#ports.history.log.machines.of(slug, name);
        const after =
          this.#ports.history.log.machines.storedOf(state, epoch) ??
          Math.max(0, (known.position?.seq ?? 0) - FIRST_HISTORY);
        const query = new URLSearchParams({ epoch, seq: String(after) });
        const signal = AbortSignal.timeout(PAGE_TIMEOUT_MS);
        const response = await askMachine(this.#ports.env, this.#ports.user(), name, `${ScriptPath.EVENTS}?${query}`, {
          signal,
        });
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        const page = EventPage.parse(await response.json());
        const events = page.events.map((event) => ({ ...event, session: boundedSession(event.session) }));
        this.#ports.history.push(
          slug,
          name,
          { ...page, events, after },
          page.more ? (known.position?.seq ?? 0) : page.position.seq,
        );
        if (!page.more) return;
      }
    } catch (reason) {
      // Its next report tries again.
      console.warn("the events of a script that does not push them could not be read", {
        name,
        reason: String(reason),
      });
    } finally {
      this.#pulling.delete(slug);
    }
  }
}
