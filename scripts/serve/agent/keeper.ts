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
  /** Ends the process and everything that it started, and stops watching it. */
  kill(): Promise<void>;
  /** The same for a process that has ended by itself. */
  killOrphans(): Promise<void>;
}

/** A line from serve to its keeper, as JSON. */
export type KeeperLine = { watch: number; mark: string } | { forget: number };

/**
 * Makes sure that agents never outlive serve. Closing its input does not stop Claude Code, which first finishes its turn; so if
 * serve is killed, its agents would keep working without supervision. A small helper process in a session of its own therefore
 * holds the read end of a pipe from serve. When that pipe closes, for whatever reason, it ends the agents that are left.
 */
export class Keeper {
  /**
   * A mark in the environment of all agents of one home. The next serve recognises by it the agents of a serve that was killed
   * together with its keeper.
   */
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

  /**
   * Ends agents of an earlier serve of this home that was killed together with its keeper. Works only on Linux, where a
   * process's environment can be read.
   */
  async endLeftovers(): Promise<void> {
    const prefix = `${this.#home}:`;
    // A serve that was itself started by an agent must not end its own ancestors.
    if (process.env[MARK_VARIABLE]?.startsWith(prefix) === true) return;
    await killMarked(prefix);
  }

  /** Call this when no agent is left. */
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
    // If the keeper was killed, its exit event handles that.
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
