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

/** What the reporter needs of the machine, and tells it for its record. */
export type ReporterListener = {
  /** The machine's current presence. */
  presence(): ReportedPresence;
  /** A report has arrived. `wantsFacts`: the registry has no facts of this machine. */
  arrived(told: ReportedPresence, wantsFacts: boolean): void;
  /** A report has failed, for the `failures`th time in a row. The machine must call `report` again after `againInS`. */
  failed(failures: number, againInS: number): Promise<void>;
  /** The control API refuses this script's reports (403), so repeating them is pointless. */
  refused(): void;
};

/** Reports changes to the owner's Agent, so that nobody ever has to ask all machines. */
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

  /** Whether this state has been reported successfully. `false` after a restart of the script, which loses that knowledge. */
  hasTold(online: boolean, epoch: number): boolean {
    return this.#told?.online === online && this.#told.epoch === epoch;
  }

  /** Sends the current presence shortly. @param failures how often in a row it has failed, as recorded before a restart. */
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

  /** Sends the current presence now. Throws when the report did not arrive. */
  async send(): Promise<void> {
    const presence = this.#listener.presence();
    const report: MachineReport = { owner: this.#env.OWNER, slug: this.#env.SLUG, presence };
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
