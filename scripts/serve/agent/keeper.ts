import { spawn, type ChildProcess } from "node:child_process";
import { randomUUID } from "node:crypto";
import { entryOf } from "../entry.ts";
import { childEnvironment } from "../../system/child-environment.ts";
import { killMarked, killTree, MARK_VARIABLE } from "../../system/process-tree.ts";

export interface Mark {
  readonly value: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Guard {
  /** Ends the process and all it started; then nobody watches it any more. */
  kill(): Promise<void>;
  /** As `kill`, for a process that has ended by itself. */
  killOrphans(): Promise<void>;
}

/** What serve tells its keeper, one JSON a line. */
export type KeeperLine = { watch: number; mark: string } | { forget: number };

/**
 * Sees to it that agents never outlive serve. Claude Code finishes its turn when its input ends, so the death of serve
 * alone stops nothing: a small process beside it, in a session of its own, holds a pipe from serve, and when that
 * closes, for whatever reason, it ends the agents that are left.
 */
export class Keeper {
  /** Common to all agents of one home, so that those left by a killed serve and keeper can be told at the next start. */
  readonly #home: string;
  readonly #watched = new Map<number, string>();
  #process: ChildProcess | null = null;
  #stopped = false;

  constructor(home: string) {
    this.#home = home;
  }

  newMark(): Mark {
    const value = `${this.#home}:${randomUUID()}`;
    return { value, env: { [MARK_VARIABLE]: value } };
  }

  watch(pid: number, mark: Mark): Guard {
    this.#watched.set(pid, mark.value);
    if (this.#process === null) this.#start();
    else this.#tell({ watch: pid, mark: mark.value });
    const forget = () => {
      this.#watched.delete(pid);
      this.#tell({ forget: pid });
    };
    return {
      kill: () => killTree(pid, mark.value).finally(forget),
      killOrphans: () => killMarked(mark.value).finally(forget),
    };
  }

  /** Ends the agents of an earlier serve of this home, of whom nobody is left to do it. Only Linux can tell them. */
  async endLeftovers(): Promise<void> {
    const prefix = `${this.#home}:`;
    // A serve that was itself started by an agent would end its own parents.
    if (process.env[MARK_VARIABLE]?.startsWith(prefix) === true) return;
    await killMarked(prefix);
  }

  /** To be called when no agent is left. */
  stop(): void {
    this.#stopped = true;
    this.#process?.stdin?.end();
  }

  #start(): void {
    const { file, args } = entryOf("keeper");
    const keeper = spawn(process.execPath, [file, ...args], {
      detached: true,
      env: childEnvironment(),
      stdio: ["pipe", "ignore", "ignore"],
    });
    this.#process = keeper;
    // A keeper that was killed says so by its exit.
    keeper.stdin.on("error", () => undefined);
    keeper.once("error", () => this.#restart(keeper));
    keeper.once("exit", () => this.#restart(keeper));
    keeper.unref();
    for (const [pid, mark] of this.#watched) this.#tell({ watch: pid, mark });
  }

  #restart(ended: ChildProcess): void {
    if (this.#process !== ended) return;
    this.#process = null;
    if (!this.#stopped && this.#watched.size > 0) this.#start();
  }

  #tell(line: KeeperLine): void {
    this.#process?.stdin?.write(`${JSON.stringify(line)}\n`);
  }
}
