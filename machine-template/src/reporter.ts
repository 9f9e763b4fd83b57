import { type MachineReport, type Presence, REPORT_KEY_HEADER } from "#protocol/script-api.ts";

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

/** Tells the owner's Agent what changed, so that nobody ever has to ask every machine. */
export class Reporter {
  readonly #env: ReporterBindings;
  readonly #presence: () => Presence;
  readonly #failed: () => Promise<void>;
  #gathering = false;

  /** @param failed called when a report did not arrive, to have `report` called again later. */
  constructor(env: ReporterBindings, presence: () => Presence, failed: () => Promise<void>) {
    this.#env = env;
    this.#presence = presence;
    this.#failed = failed;
  }

  /** Sends what is so a moment from now. */
  report(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    setTimeout(() => {
      this.#gathering = false;
      this.send().catch((reason: unknown) => {
        console.warn("report to the control API failed, will be repeated", String(reason));
        return this.#failed();
      });
    }, GATHER_MS);
  }

  /** Sends what is so now. Throws when it did not arrive. */
  async send(): Promise<void> {
    const report: MachineReport = { owner: this.#env.OWNER, slug: this.#env.SLUG, presence: this.#presence() };
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
      if (!response.ok) throw new Error(`HTTP ${response.status}`);
    } finally {
      clearTimeout(timer);
    }
  }
}
