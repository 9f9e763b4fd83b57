import { linkSync, readFileSync, renameSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { holderInLink, linkHolder, replaceByLink } from "./compact-holder.ts";
import { isDiskFailure } from "./disk-failure.ts";
import { Holder } from "./lock-holder.ts";
import { isSameStart, lifeOf } from "./process-start.ts";

/** One connector per profile. Held by a file with the holder's process; a holder that died holds nothing. */
export class Lock {
  readonly #path: string;
  #holder: Holder;

  private constructor(path: string, holder: Holder) {
    this.#path = path;
    this.#holder = holder;
  }

  /** Takes the lock, or answers who has it. */
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
      // A link is made by one of several, even when they try at the same moment.
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

  /** Never throws for want of space: the lock is held whatever it says. */
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

/** Who holds the lock now; `null`: nobody who is alive. */
export function holderOf(path: string): Holder | null {
  const holder = holderInLink(path) ?? holderInFile(path);
  return holder !== null && isAlive(holder) ? holder : null;
}

function isAlive({ pid, started }: Holder): boolean {
  const now = lifeOf(pid);
  return now.isAlive && (started === null || now.started === null || isSameStart(started, now.started));
}

/** What the file says; `null`: no file, or none that a connector wrote. Nobody holds it then. */
function holderInFile(path: string): Holder | null {
  try {
    return Holder.safeParse(JSON.parse(readFileSync(path, "utf8"))).data ?? null;
  } catch {
    return null;
  }
}

/** A file beside `path` that says who holds it; `null`: the disk has no room for one. */
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

/** Takes a dead holder's file away, unless another has just done so and taken the lock: then it is put back. */
function discard(path: string): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return; // somebody else took it away
  }
  if (holderOf(aside) !== null) putBack(aside, path);
  rmSync(aside, { force: true });
}

/** A link to a symbolic link is one of its own; where the system follows it instead, it fails, and the lock is taken anew. */
function putBack(aside: string, path: string): void {
  try {
    linkSync(aside, path);
  } catch (reason) {
    if (!(reason instanceof Error && "code" in reason && (reason.code === "EEXIST" || reason.code === "ENOENT")))
      throw reason;
  }
}
