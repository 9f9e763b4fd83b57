/** What the script has to do later, even if it is stopped or hibernates meanwhile. */
export type Job = "report" | "checkPresence";

/** When a job is due, in milliseconds since 1970, and for `report` how often in a row it has failed. */
type Due = { readonly atMs: number; readonly failures: number };
type Jobs = Partial<Record<Job, Due>>;

const KEY = "jobs";

/**
 * When a job that threw runs again. What makes one throw is a full disk or a fault of ours, neither of which passes in less. The runtime would
 * pause between its own tries, but not for an alarm that was set meanwhile, to a time that has passed. Milliseconds.
 */
const AGAIN_MS = 60_000;

/**
 * Runs jobs at set times. A Durable Object has one alarm, so this keeps the time of each job in storage and the alarm at the
 * earliest of them. It writes only when a time changes.
 *
 * This is done here and not by the `agents` package, which the control API uses: its bundle would take 25 MB of memory and 0.15 s of
 * start-up for each machine.
 */
export class Alarm {
  readonly #storage: DurableObjectStorage;
  readonly #jobs: Jobs;
  /** The storage was written by a version that kept its jobs elsewhere, so an alarm that fires may be for any of them. */
  #isUnknown: boolean;

  constructor(storage: DurableObjectStorage) {
    const stored = storage.kv.get<Jobs>(KEY);
    this.#storage = storage;
    this.#jobs = { ...stored };
    this.#isUnknown = stored === undefined;
  }

  /** Sets the time of a job, or changes it. */
  async set(job: Job, inMs: number, failures = 0): Promise<void> {
    this.#jobs[job] = { atMs: Date.now() + inMs, failures };
    await this.#save();
  }

  /**
   * Moves a job to `inMs` from now if it is due later than that: the clock was set back since it was set. It would otherwise be late
   * by as much as the clock was changed.
   */
  async setNoLater(job: Job, inMs: number): Promise<void> {
    const due = this.#jobs[job];
    if (due !== undefined && due.atMs > Date.now() + inMs) await this.set(job, inMs, due.failures);
  }

  async cancel(job: Job): Promise<void> {
    if (this.#jobs[job] === undefined) return;
    delete this.#jobs[job];
    await this.#save();
  }

  /**
   * Call this when the alarm fires. Runs what is due. A job is crossed out before it runs and may set itself again; if it throws,
   * it runs again after `AGAIN_MS`, and the others are not held up by it. Rejects only if the storage fails; the runtime then calls again.
   */
  async fire(run: (job: Job, failures: number) => Promise<void>): Promise<void> {
    const nowMs = Date.now();
    const wasUnknown = this.#isUnknown;
    if (wasUnknown) await this.#save();
    for (const job of ["report", "checkPresence"] as const) {
      const due = this.#jobs[job] ?? (wasUnknown ? { atMs: nowMs, failures: 0 } : undefined);
      if (due === undefined || due.atMs > nowMs) continue;
      delete this.#jobs[job];
      try {
        await run(job, due.failures);
      } catch (reason) {
        console.error(`${job} failed`, String(reason));
        this.#jobs[job] ??= { atMs: nowMs + AGAIN_MS, failures: due.failures + 1 };
      }
    }
    await this.#save();
  }

  async #save(): Promise<void> {
    this.#isUnknown = false;
    this.#storage.kv.put(KEY, this.#jobs);
    const times = Object.values(this.#jobs).map(({ atMs }) => atMs);
    if (times.length === 0) await this.#storage.deleteAlarm();
    else await this.#storage.setAlarm(Math.min(...times));
  }
}
