import { Worker } from "node:worker_threads";
import { entryOf } from "../entry.ts";
import { ServeFailure } from "../error.ts";
import type { Growth } from "./follower.ts";
import type { FromWorker, IndexData, IndexQuestions, ToWorker } from "./worker.ts";

/** An answer takes milliseconds, a search without an index ten seconds. */
const ANSWER_LIMIT_MS = 20_000;

/** What is new is read before some answers, but nobody waits for a first indexing. */
const FRESH_LIMIT_MS = 400;

/** A thread that dies at once again and again is left dead, and the tools say so. */
const RESTART_AFTER_MS = 5_000;

/** Reading makes garbage by the megabyte: with a small nursery less of it lies around. The facts of 10,000 files fit well. */
const YOUNG_MB = 8;
const OLD_MB = 512;

interface Waiting {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The index of history, in a thread of its own: reading a gigabyte must not hold up a session. */
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

  /** Why the thread is not there; `null` when it is. */
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
      // The empty list of transfers is there for a lint rule about windows.
      worker.postMessage({ id, question, ask } satisfies ToWorker, []);
    });
    // Both ends are of this program, and the worker's switch is over the same type.
    return answer as IndexQuestions[Q]["answer"];
  }

  /** As `ask`, with what was written up to now taken in, if that is quickly done. */
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
      // node:sqlite announces on every start that it is young.
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
