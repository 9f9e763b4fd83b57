import { createHash } from "node:crypto";
import * as z from "zod";
import { ServeFailure } from "./error.ts";
import { readJson, writeJson } from "../system/json-file.ts";

/** Clients usually repeat a call within minutes. A day also covers a phone that was off overnight. */
const KEEP_MS = 24 * 60 * 60_000;

const MAX_OUTCOMES = 2_000;

const Outcome = z.object({
  key: z.string(),
  call: z.string(),
  atMs: z.number(),
  answer: z.record(z.string(), z.unknown()),
});
type Outcome = z.infer<typeof Outcome>;

/**
 * The outcome of each call that had an idempotency key. A call that is repeated with its key is not carried out again but gets the
 * first one's answer, even while that one is still running and after a restart. A call that failed may be repeated.
 */
export class Outcomes {
  readonly #path: string;
  readonly #running = new Map<string, { call: string; answer: Promise<Record<string, unknown>> }>();
  #done = new Map<string, Outcome>();
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string) {
    this.#path = path;
  }

  async load(): Promise<void> {
    const stored = z.array(Outcome).safeParse((await readJson(this.#path)) ?? []);
    if (!stored.success) throw new Error(`${this.#path} is not readable: ${z.prettifyError(stored.error)}`);
    this.#done = new Map(stored.data.map((outcome) => [outcome.key, outcome]));
  }

  /** Throws ServeFailure `key_reused` when the key was used for a call with other arguments. */
  async once(
    key: string | undefined,
    call: unknown,
    work: () => Promise<Record<string, unknown>>,
  ): Promise<Record<string, unknown>> {
    if (key === undefined) return work();
    const fingerprint = createHash("sha256").update(JSON.stringify(call)).digest("hex");
    const earlier = this.#done.get(key) ?? this.#running.get(key);
    if (earlier !== undefined) {
      if (earlier.call !== fingerprint) throw new ServeFailure({ code: "key_reused", key });
      return earlier.answer;
    }
    const answer = this.#work(key, fingerprint, work);
    this.#running.set(key, { call: fingerprint, answer });
    return answer;
  }

  async #work(key: string, call: string, work: () => Promise<Record<string, unknown>>) {
    try {
      const answer = await work();
      this.#done.set(key, { key, call, atMs: Date.now(), answer });
      await this.#save();
      return answer;
    } finally {
      this.#running.delete(key);
    }
  }

  async #save(): Promise<void> {
    const oldestMs = Date.now() - KEEP_MS;
    const kept = [...this.#done.values()].filter(({ atMs }) => atMs > oldestMs).slice(-MAX_OUTCOMES);
    this.#done = new Map(kept.map((outcome) => [outcome.key, outcome]));
    const earlier = this.#writing;
    this.#writing = (async () => {
      await earlier.catch(() => undefined);
      await writeJson(this.#path, [...this.#done.values()]);
    })();
    await this.#writing;
  }
}
