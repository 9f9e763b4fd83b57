import type { EventPush } from "#protocol/event.ts";
import { PUSH_INTERVAL_MS } from "#protocol/limits.ts";
import {
  type MachineReport,
  REPORT_KEY_HEADER,
  REPORT_LIVE_HEADER,
  REPORT_STORED_HEADER,
  REPORT_WANTS_HEADER,
  type ReportedPresence,
} from "#protocol/script-api.ts";

export type ReporterBindings = {
  /** User id of the machine's owner. */
  readonly OWNER: string;
  /** This script's own name in the dispatch namespace. */
  readonly SLUG: string;
  /** Proves to the control API that a report comes from this script. */
  readonly REPORT_KEY: string;
  /** The control API's `Reports` entrypoint. */
  readonly CONTROL: Fetcher;
};

/** Changes within this time are sent as one report. */
const GATHER_MS = 50;

/** A report without an answer after this time has failed. */
const TIMEOUT_MS = 5_000;

/** A failed report is repeated after this time, then after twice as long, and so on. Seconds. */
export const REPORT_AGAIN_S = 5;

/**
 * The longest pause between repetitions. At 5 s, each machine of an Operator that no longer exists would cost 3.90 dollars a
 * month.
 */
const REPORT_AGAIN_MAX_S = 60 * 60;

/** What came back with the answer to a report. */
export type Arrived = {
  /** The registry has no facts of this machine. */
  readonly wantsFacts: boolean;
  /** The owner's object has this log's events up to this number. `null` if it did not say. */
  readonly stored: number | null;
  /** Somebody watches, so the pieces of unfinished messages are wanted, too, for so long. */
  readonly liveMs: number;
};

/** What the reporter needs of the machine, and tells it for its record. */
export type ReporterListener = {
  /** The machine's current presence. */
  presence(): ReportedPresence;
  /** The events that the owner's object does not have yet, as far as one report can carry them. */
  push(): EventPush;
  /** A report has arrived. Answers whether there are already further events to push. */
  arrived(told: ReportedPresence, answer: Arrived): boolean;
  /** A report has failed, for the `failures`th time in a row. The machine must call `report` again after `againInS`. */
  failed(failures: number, againInS: number): Promise<void>;
  /** The control API refuses this script's reports (403), so repeating them is pointless. */
  refused(): void;
};

/**
 * Reports changes to the owner's object, so that nobody ever has to ask all machines: the machine's presence, and the events of
 * its log that the object does not have yet.
 *
 * One report is in flight at a time. What happens meanwhile goes into the next one, so an object that is slow gets fewer and
 * larger reports. The log stays the source until the object has answered up to where it has stored the events; a report that was
 * lost, or whose answer was lost, is repeated from there.
 */
export class Reporter {
  readonly #env: ReporterBindings;
  readonly #listener: ReporterListener;
  #gathering = false;
  #isSending = false;
  /** Something changed while a report was in flight. */
  #isStale = false;
  #sentMs = 0;
  #failures = 0;
  #told: { online: boolean; epoch: number } | null = null;

  constructor(env: ReporterBindings, listener: ReporterListener) {
    this.#env = env;
    this.#listener = listener;
  }

  /** Whether this state has been reported successfully. `false` after a restart of the script, which loses that knowledge. */
  hasTold(online: boolean, epoch: number): boolean {
    return this.#told?.online === online && this.#told.epoch === epoch;
  }

  /** Sends a report shortly. @param failures how often in a row it has failed, as recorded before a restart. */
  report(failures = this.#failures): void {
    this.#failures = failures;
    if (this.#gathering) return;
    this.#gathering = true;
    // The clock may have been set back since. A report then still comes within the interval.
    const sinceMs = Math.max(0, Date.now() - this.#sentMs);
    setTimeout(
      () => {
        this.#gathering = false;
        void this.#sendInTurn();
      },
      Math.max(GATHER_MS, PUSH_INTERVAL_MS - sinceMs),
    );
  }

  async #sendInTurn(): Promise<void> {
    if (this.#isSending) {
      this.#isStale = true;
      return;
    }
    this.#isSending = true;
    this.#isStale = false;
    try {
      const hasMore = await this.send();
      if (hasMore || this.#isStale) this.report();
    } catch (reason) {
      this.#failures += 1;
      const againInS = Math.min(REPORT_AGAIN_MAX_S, REPORT_AGAIN_S * 2 ** Math.min(this.#failures - 1, 20));
      console.warn("report to the control API failed, will be repeated", { reason: String(reason), againInS });
      await this.#listener.failed(this.#failures, againInS);
    } finally {
      this.#isSending = false;
    }
  }

  /** Sends a report now. Answers whether there are further events to push. Throws when the report did not arrive. */
  async send(): Promise<boolean> {
    this.#sentMs = Date.now();
    const presence = this.#listener.presence();
    const push = this.#listener.push();
    const report: MachineReport = { owner: this.#env.OWNER, slug: this.#env.SLUG, presence, push };
    // Not AbortSignal.timeout, whose timer keeps running after the answer and would prevent hibernation.
    const timeout = new AbortController();
    const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS);
    try {
      const response = await this.#env.CONTROL.fetch("http://control/report", {
        method: "POST",
        headers: { "content-type": "application/json", [REPORT_KEY_HEADER]: this.#env.REPORT_KEY },
        body: JSON.stringify(report),
        signal: timeout.signal,
      });
      if (response.status === 403) {
        console.error("the control API refuses this script's reports; they stop until the next link");
        this.#listener.refused();
        return false;
      }
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      const stored = numberIn(response, REPORT_STORED_HEADER);
      // The object stored nothing and does not ask for anything earlier. To repeat this at once would repeat it without end.
      if (push.events.length > 0 && (stored === null || stored === push.after))
        throw new Error("the events were not stored");
      this.#failures = 0;
      this.#told = { online: presence.online, epoch: presence.epoch };
      return this.#listener.arrived(presence, {
        wantsFacts: response.headers.get(REPORT_WANTS_HEADER) === "facts",
        stored,
        liveMs: numberIn(response, REPORT_LIVE_HEADER) ?? 0,
      });
    } finally {
      clearTimeout(timer);
    }
  }
}

function numberIn({ headers }: Response, name: string): number | null {
  const text = headers.get(name);
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}
