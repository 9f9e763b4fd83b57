import {
  type MachineReport,
  REPORT_KEY_HEADER,
  REPORT_WANTS_HEADER,
  type ReportedPresence,
} from "#protocol/script-api.ts";

export type ReporterBindings = {
  /** User id of the machine's owner. */
  readonly OWNER: string;
  /** This script's own name in the dispatch namespace. */
  readonly SLUG: string;
  /** Shows the control API that a report comes from this script. */
  readonly REPORT_KEY: string;
  /** The control API's `Reports` entrypoint. */
  readonly CONTROL: Fetcher;
};

/** Changes within this time of each other go out as one report. */
const GATHER_MS = 50;

/** A report that got no answer for so long has failed. */
const TIMEOUT_MS = 5_000;

/** A report that failed is repeated after this long, then after twice as long, and so on. Seconds. */
export const REPORT_AGAIN_S = 5;

/** And at last once an hour. Every 5 s for ever would be 3.90 dollars a month for each machine of an Operator that is gone. */
const REPORT_AGAIN_MAX_S = 60 * 60;

/** What becomes of reports, for the machine to write down. */
export type ReporterListener = {
  /** What is so now. */
  presence(): ReportedPresence;
  /** It arrived. `wantsFacts`: the registry has none of this machine. */
  arrived(told: ReportedPresence, wantsFacts: boolean): void;
  /** It did not arrive, for the `failures`th time in a row; `report` has to be called again after `againInS`. */
  failed(failures: number, againInS: number): Promise<void>;
  /** The control API refuses this script's reports (403): repeating them cannot help. */
  refused(): void;
};

/** Tells the owner's Agent what changed, so that nobody ever has to ask every machine. */
export class Reporter {
  readonly #env: ReporterBindings;
  readonly #listener: ReporterListener;
  #gathering = false;
  #failures = 0;
  #told: { online: boolean; epoch: number } | null = null;

  constructor(env: ReporterBindings, listener: ReporterListener) {
    this.#env = env;
    this.#listener = listener;
  }

  /** Whether the control API is known to know this. `false` after a restart of the script, which forgets what it said. */
  hasTold(online: boolean, epoch: number): boolean {
    return this.#told?.online === online && this.#told.epoch === epoch;
  }

  /** Sends what is so a moment from now. @param failures how often in a row that has failed, as written down before a restart. */
  report(failures = this.#failures): void {
    this.#failures = failures;
    if (this.#gathering) return;
    this.#gathering = true;
    setTimeout(() => {
      this.#gathering = false;
      this.send().catch((reason: unknown) => {
        this.#failures += 1;
        const againInS = Math.min(REPORT_AGAIN_MAX_S, REPORT_AGAIN_S * 2 ** Math.min(this.#failures - 1, 20));
        console.warn("report to the control API failed, will be repeated", { reason: String(reason), againInS });
        return this.#listener.failed(this.#failures, againInS);
      });
    }, GATHER_MS);
  }

  /** Sends what is so now. Throws when it did not arrive. */
  async send(): Promise<void> {
    const presence = this.#listener.presence();
    const report: MachineReport = { owner: this.#env.OWNER, slug: this.#env.SLUG, presence };
    // Not AbortSignal.timeout, whose timer goes on after the answer and would keep the object from hibernating.
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
        return;
      }
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
      this.#failures = 0;
      this.#told = { online: presence.online, epoch: presence.epoch };
      this.#listener.arrived(presence, response.headers.get(REPORT_WANTS_HEADER) === "facts");
    } finally {
      clearTimeout(timer);
    }
  }
}
