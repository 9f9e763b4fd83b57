import { linkSync, readFileSync, renameSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { holderInLink, linkHolder, replaceByLink } from "./compact-holder.ts";
import { isDiskFailure } from "./disk-failure.ts";
import { Holder } from "./lock-holder.ts";
import { isSameStart, lifeOf } from "./process-start.ts";

/**
 * Ensures one connector per profile. The lock is a file that names the holder's process.
 *
 * Node has no `flock`, so nothing releases the file when its process dies. A lock therefore counts only while the process that it
 * names is alive and was started at the recorded time; otherwise the process id may belong to another program. The file is
 * created by hard-linking a complete draft to its name. That is atomic, so of several processes exactly one succeeds, and nobody
 * ever reads an incomplete file.
 */
export class Lock {
  readonly #path: string;
  #holder: Holder;

  private constructor(path: string, holder: Holder) {
    this.#path = path;
    this.#holder = holder;
  }

  /** Takes the lock, or returns its holder. */
  static take(path: string): Lock | Holder {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const holder: Holder = {
      pid: process.pid,
      started: lifeOf(process.pid).started,
      sinceMs: Date.now(),
      state: "connecting",
      detail: "",
    };
    const draft = draftOf(path, holder);
    try {
      // Of several processes that create the link at the same moment, exactly one succeeds.
      for (;;) {
        if (tryLink(draft, path, holder)) return new Lock(path, holder);
        const present = holderOf(path);
        if (present !== null) return present;
        discard(path);
      }
    } finally {
      if (draft !== null) rmSync(draft, { force: true });
    }
  }

  /** Updates the state in the file. Never throws when the disk is full, because the lock is held all the same. */
  say(state: Holder["state"], detail: string): void {
    this.#holder = { ...this.#holder, state, detail };
    const fresh = draftOf(this.#path, this.#holder);
    if (fresh === null) replaceByLink(this.#path, this.#holder);
    else renameSync(fresh, this.#path);
  }

  release(): void {
    rmSync(this.#path, { force: true });
  }
}

/** The lock's current holder; `null` if no living process holds it. */
export function holderOf(path: string): Holder | null {
  const holder = holderInLink(path) ?? holderInFile(path);
  return holder !== null && isAlive(holder) ? holder : null;
}

function isAlive({ pid, started }: Holder): boolean {
  const now = lifeOf(pid);
  return now.isAlive && (started === null || now.started === null || isSameStart(started, now.started));
}

/** The holder in the file; `null` if there is no file, or no connector wrote it. The lock is then free. */
function holderInFile(path: string): Holder | null {
  try {
    return Holder.safeParse(JSON.parse(readFileSync(path, "utf8"))).data ?? null;
  } catch {
    return null;
  }
}

/** Writes the holder to a draft beside `path`; `null` when the disk is full. */
function draftOf(path: string, holder: Holder): string | null {
  const draft = `${path}.${process.pid}.new`;
  try {
    writeFileSync(draft, JSON.stringify(holder), { mode: 0o600 });
    return draft;
  } catch (reason) {
    rmSync(draft, { force: true });
    if (isDiskFailure(reason) && reason.code !== "EROFS") return null;
    throw reason;
  }
}

function tryLink(draft: string | null, path: string, holder: Holder): boolean {
  try {
    if (draft === null) linkHolder(path, holder);
    else linkSync(draft, path);
    return true;
  } catch (reason) {
    if (reason instanceof Error && "code" in reason && reason.code === "EEXIST") return false;
    throw reason;
  }
}

/**
 * Removes the file of a dead holder. Another process may have removed it in the meantime and taken the lock; then this one has moved
 * away a living holder's file, and puts it back.
 */
function discard(path: string): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return; // another process has removed it
  }
  if (holderOf(aside) !== null) putBack(aside, path);
  rmSync(aside, { force: true });
}

/**
 * Hard-links the file back. For a symbolic link this links the link itself. A system that follows it instead fails here, and
 * the lock is taken again.
 */
function putBack(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch (reason) {
    if (!(reason instanceof Error && "code" in reason && (reason.code === "EEXIST" || reason.code === "ENOENT")))
      throw reason;
  }
}
