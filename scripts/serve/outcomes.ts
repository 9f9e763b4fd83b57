import { createHash, randomUUID } from "node:crypto";
import * as z from "zod";
import { ServeFailure } from "./error.ts";
import { readJson, writeJson } from "../system/json-file.ts";

/** Clients usually repeat a call within minutes. A day also covers a phone that was off overnight. */
const KEEP_MS = 24 * 60 * 60_000;

const MAX_OUTCOMES = 2_000;

type Answer = Record<string, unknown>;

/**
 * The ids that a call gives to what it makes, chosen and written down before it begins. So a repeated call can find out whether the first
 * one got that far: Claude Code writes a prompt's id into the session's file when it has taken the prompt.
 */
const Ids = z.object({ session: z.string(), turn: z.string() });
export type Ids = z.infer<typeof Ids>;

const Outcome = z.object({
  key: z.string(),
  call: z.string(),
  atMs: z.number(),
  /** Absent from files of version 0.2, which know only calls that were carried out. */
  ids: Ids.optional(),
  /** `null` while the call is being carried out, and if serve ended meanwhile. */
  answer: z.record(z.string(), z.unknown()).nullable(),
  /** What the call began has ended: its turn is over, or was aborted. It must not be carried out again. */
  isOver: z.boolean().default(false),
});
type Outcome = z.infer<typeof Outcome>;

/** How a call is carried out, and what is known of it after serve was restarted. */
export interface Work {
  /**
   * Carries the call out, with these ids for what it makes. `ended` may be called later: what it began is `over`, or was `lost` with the
   * agent's process.
   */
  readonly run: (ids: Ids, ended: (how: "over" | "lost") => void) => Promise<Answer>;
  /**
   * Finds out what came of the call. Returns an answer that says so, or `null` if nothing has come of it yet. `answer` is the first
   * call's, if it was answered.
   */
  readonly recall: (ids: Ids, answer: Answer | null) => Promise<Answer | null>;
}

/**
 * The outcome of each call that had an idempotency key. A call that is repeated with its key is not carried out again but told what came
 * of the first one, even while that one is still running. What was lost with serve's memory or with the agent (a prompt in the queue) is
 * carried out now, and nothing is carried out twice. A call that failed may be repeated.
 */
export class Outcomes {
  readonly #path: string;
  readonly #now: () => number;
  readonly #running = new Map<string, { call: string; answer: Promise<Answer> }>();
  /** Keys whose calls this run of serve has carried out. What it has in memory cannot have been lost. */
  readonly #own = new Set<string>();
  #known = new Map<string, Outcome>();
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, now: () => number = Date.now) {
    this.#path = path;
    this.#now = now;
  }

  async load(): Promise<void> {
    const stored = z.array(Outcome).safeParse((await readJson(this.#path)) ?? []);
    if (!stored.success) throw new Error(`${this.#path} is not readable: ${z.prettifyError(stored.error)}`);
    this.#known = new Map(stored.data.map((outcome) => [outcome.key, outcome]));
  }

  /** Throws ServeFailure `key_reused` when the key was used for a call with other arguments. */
  async once(key: string | undefined, call: unknown, work: Work): Promise<Answer> {
    if (key === undefined) return work.run(newIds(), () => undefined);
    const fingerprint = createHash("sha256").update(JSON.stringify(call)).digest("hex");
    const known = this.#fresh(key);
    const earlier = this.#running.get(key) ?? known;
    if (earlier !== undefined && earlier.call !== fingerprint) throw new ServeFailure({ code: "key_reused", key });
    const running = this.#running.get(key);
    if (running !== undefined) return running.answer;
    const answer = this.#work(key, fingerprint, known, work).finally(() => this.#running.delete(key));
    this.#running.set(key, { call: fingerprint, answer });
    return answer;
  }

  async #work(key: string, call: string, known: Outcome | undefined, { run, recall }: Work): Promise<Answer> {
    const ids = known?.ids ?? newIds();
    const recalled = known === undefined ? null : await recall(ids, known.answer);
    if (recalled !== null) return recalled;
    // What it began ended without a trace: it was aborted before the agent had taken it.
    if (known?.answer != null && known.isOver) return { ...known.answer, status: "dropped" };
    // It is in this run's memory, and waits for its turn.
    if (known?.answer != null && this.#own.has(key)) return known.answer;
    const begun = { key, call, atMs: known?.atMs ?? this.#now(), ids, isOver: false };
    // On disk before anything happens. Without that a call of which nobody knows could be repeated.
    this.#known.set(key, { ...begun, answer: null });
    await this.#save();
    let answer: Answer;
    this.#own.add(key);
    try {
      answer = await run(ids, (how) => this.#ended(key, how));
    } catch (error) {
      this.#known.delete(key);
      this.#own.delete(key);
      await this.#save();
      throw error;
    }
    this.#known.set(key, { ...begun, answer, isOver: this.#known.get(key)?.isOver ?? false });
    await this.#save();
    return answer;
  }

  #ended(key: string, how: "over" | "lost"): void {
    const known = this.#known.get(key);
    if (how === "lost" || known === undefined) return void this.#own.delete(key);
    this.#known.set(key, { ...known, isOver: true });
    // Not waited for: if it is not written, a repeated call looks the prompt up.
    this.#save().catch(() => undefined);
  }

  #fresh(key: string): Outcome | undefined {
    const known = this.#known.get(key);
    return known === undefined || known.atMs <= this.#now() - KEEP_MS ? undefined : known;
  }

  async #save(): Promise<void> {
    const oldestMs = this.#now() - KEEP_MS;
    const kept = [...this.#known.values()].filter(({ atMs }) => atMs > oldestMs).slice(-MAX_OUTCOMES);
    this.#known = new Map(kept.map((outcome) => [outcome.key, outcome]));
    for (const key of this.#own) if (!this.#known.has(key) && !this.#running.has(key)) this.#own.delete(key);
    const earlier = this.#writing;
    this.#writing = (async () => {
      await earlier.catch(() => undefined);
      await writeJson(this.#path, [...this.#known.values()]);
    })();
    await this.#writing;
  }
}

function newIds(): Ids {
  return { session: randomUUID(), turn: randomUUID() };
}
