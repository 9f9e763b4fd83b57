import { cpuMsOf } from "../../system/proc.ts";
import type { Report } from "../workerd/supervisor.ts";
import type { UserScript } from "./user-script.ts";

const LOOK_MS = 1_000;

/**
 * Processor time that a script may use without answering. Cloudflare ends a call after the 10 s that the dispatch Worker allows it. Here
 * only a process can be measured, in which several calls may wait for each other, so it gets three times that.
 */
const LIMIT_MS = 30_000;

/** A script that has used less than this since it last answered is not asked. Idle scripts use none, so nothing wakes them. */
const ASK_AFTER_MS = 1_000;

export type CpuOptions = {
  readonly scripts: () => readonly UserScript[];
  readonly report: Report;
  readonly lookMs?: number;
  readonly limitMs?: number;
};

/** A process, and its processor time when its isolate last took a turn. */
type Seen = { readonly pid: number; answeredAtCpuMs: number; isAsked: boolean };

/**
 * Ends scripts that are in an endless loop. workerd itself has no limit on processor time, and an isolate does one thing at a time: a script
 * that loops would answer nobody again, and take a whole processor for good.
 *
 * A script that uses a lot is asked for an answer, which its guard gives as soon as the isolate takes a turn. If none comes while the
 * process uses up the limit, all of that time was used in one turn, or in calls that leave no room for others. Then the process is
 * killed: its calls fail as if the connection was lost, and its supervisor starts it again. Where there is no /proc, as on macOS, nothing
 * is measured and nothing ended.
 */
export class CpuWatch {
  readonly #options: Required<CpuOptions>;
  readonly #timer: NodeJS.Timeout;
  readonly #seen = new Map<UserScript, Seen>();

  constructor(options: CpuOptions) {
    this.#options = { lookMs: LOOK_MS, limitMs: LIMIT_MS, ...options };
    this.#timer = setInterval(() => this.#look(), this.#options.lookMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const scripts = new Set(this.#options.scripts());
    for (const script of this.#seen.keys()) if (!scripts.has(script)) this.#seen.delete(script);
    for (const script of scripts) {
      const { pid } = script;
      const cpuMs = pid === null ? null : cpuMsOf(pid);
      if (pid === null || cpuMs === null) this.#seen.delete(script);
      else this.#judge(script, pid, cpuMs);
    }
  }

  #judge(script: UserScript, pid: number, cpuMs: number): void {
    const seen = this.#seen.get(script);
    if (seen?.pid !== pid) {
      this.#seen.set(script, { pid, answeredAtCpuMs: cpuMs, isAsked: false });
      return;
    }
    const usedMs = cpuMs - seen.answeredAtCpuMs;
    if (usedMs >= this.#options.limitMs && seen.isAsked) {
      this.#seen.delete(script);
      const seconds = Math.round(usedMs / 1000);
      this.#options.report(
        `machine script ${script.name}: ended after ${seconds} s of processor time without an answer`,
      );
      end(pid);
    } else if (usedMs >= Math.min(ASK_AFTER_MS, this.#options.limitMs / 2) && !seen.isAsked)
      void this.#ask(script, seen);
  }

  async #ask(script: UserScript, seen: Seen): Promise<void> {
    seen.isAsked = true;
    try {
      await script.takesTurn();
      seen.answeredAtCpuMs = cpuMsOf(seen.pid) ?? 0;
    } catch {
      // The process has ended, or is ending. The next look sees another one, or none.
    } finally {
      seen.isAsked = false;
    }
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself since its processor time was read.
  }
}
