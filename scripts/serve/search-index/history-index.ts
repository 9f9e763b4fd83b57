import { Worker } from "node:worker_threads";
import { entryOf } from "../entry.ts";
import { ServeFailure } from "../error.ts";
import type { Growth } from "./follower.ts";
import type { FromWorker, IndexData, IndexQuestions, ToWorker } from "./worker.ts";

/** Time limit for an answer. One takes milliseconds, but a search without a full-text index up to ten seconds. */
const ANSWER_LIMIT_MS = 20_000;

/** How long an answer waits for new messages to be indexed. It does not wait for the first indexing. */
const FRESH_LIMIT_MS = 400;

/** A thread that died is restarted only if it ran for this long. Otherwise it stays down, and the tools report that. */
const RESTART_AFTER_MS = 5_000;

/**
 * Size of V8's young generation in the thread. Reading produces much short-lived garbage, and a small young generation keeps
 * its memory low.
 */
const YOUNG_MB = 8;
const OLD_MB = 512;

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The index of the history, in its own thread, because reading a gigabyte must not delay the sessions. */
export class HistoryIndex {
  readonly #options: IndexData;
  readonly #onGrowth: (growth: Growth) => void;
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | null = null;
  #lastId = 0;
  #problem: string | null = null;
  #stopped = false;

  constructor(options: IndexData, onGrowth: (growth: Growth) => void) {
    this.#options = options;
    this.#onGrowth = onGrowth;
    this.#start();
  }

  /** Why the thread is not running; `null` when it is. */
  get problem(): string | null {
    return this.#problem;
  }

  /** Throws ServeFailure `index_unavailable`. */
  async ask<Q extends keyof IndexQuestions>(
    question: Q,
    ask: IndexQuestions[Q]["ask"],
  ): Promise<IndexQuestions[Q]["answer"]> {
    const worker = this.#worker;
    if (worker === null) throw unavailable(this.#problem ?? "its thread ended");
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = await new Promise<unknown>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        reject(unavailable(`no answer within ${ANSWER_LIMIT_MS} ms`));
      }, ANSWER_LIMIT_MS);
      const settle =
        <T>(then: (value: T) => void) =>
        (value: T) => {
          clearTimeout(timer);
          this.#waiting.delete(id);
          then(value);
        };
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      // The empty transfer list satisfies a lint rule that is meant for `window.postMessage`.
      worker.postMessage({ id, question, ask } satisfies ToWorker, []);
    });
    // Both ends belong to this program, and the worker switches over the same type.
    return answer as IndexQuestions[Q]["answer"];
  }

  /** Like `ask`, but first indexes what was written up to now, if that can be done quickly. */
  async askFresh<Q extends keyof IndexQuestions>(question: Q, ask: IndexQuestions[Q]["ask"]) {
    const fresh = this.ask("refresh", null).catch(() => null);
    await Promise.race([fresh, new Promise((resolve) => setTimeout(resolve, FRESH_LIMIT_MS).unref())]);
    return this.ask(question, ask);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#worker?.terminate();
  }

  #start(): void {
    const { file, args } = entryOf("index");
    const startedAtMs = Date.now();
    const worker = new Worker(file, {
      argv: args,
      workerData: this.#options,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB, maxOldGenerationSizeMb: OLD_MB },
      // node:sqlite prints an ExperimentalWarning at every start.
      execArgv: [...process.execArgv, "--disable-warning=ExperimentalWarning"],
    });
    this.#worker = worker;
    worker.unref();
    worker.on("message", (message: FromWorker) => this.#hear(message));
    worker.on("error", (error) => (this.#problem = `its thread failed: ${error.message}`));
    worker.on("exit", () => {
      this.#worker = null;
      this.#problem ??= "its thread ended";
      for (const { reject } of this.#waiting.values()) reject(unavailable(this.#problem));
      if (!this.#stopped && Date.now() - startedAtMs > RESTART_AFTER_MS) this.#start();
    });
  }

  #hear(message: FromWorker): void {
    this.#problem = null;
    switch (message.type) {
      case "answer":
        return this.#waiting.get(message.id)?.resolve(message.answer);
      case "failure":
        return this.#waiting.get(message.id)?.reject(unavailable(message.reason));
      case "growth":
        return this.#onGrowth(message.growth);
    }
  }
}

function unavailable(detail: string): ServeFailure {
  return new ServeFailure({ code: "index_unavailable", detail });
}
