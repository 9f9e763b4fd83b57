import { createHash } from "node:crypto";
import { linkSync, lstatSync, readFileSync, readlinkSync, renameSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { holderInLink, linkHolder, replaceByLink } from "./compact-holder.ts";
import { isDiskFailure } from "./disk-failure.ts";
import { Holder } from "./lock-holder.ts";
import { isSameStart, lifeOf } from "./process-start.ts";

/** Enough of a digest that no two holders of one lock have the same. */
const GENERATION_CHARACTERS = 16;

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
      for (;;) {
        // Of several processes that create the link at the same moment, exactly one succeeds.
        if (tryLink(draft, path, holder)) return new Lock(path, holder);
        const left = contentOf(path);
        if (left === null) continue; // its holder has released it
        const present = holderOf(path);
        if (present !== null) return present;
        const right = Lock.toReplace(path, left);
        if (!(right instanceof Lock)) return right;
        try {
          if (contentOf(path) !== left) continue;
          if (draft === null) replaceByLink(path, holder);
          else renameSync(draft, path);
          return new Lock(path, holder);
        } finally {
          right.release();
        }
      }
    } finally {
      if (draft !== null) rmSync(draft, { force: true });
    }
  }

  /**
   * Takes the right to replace the lock at `path`, in which a dead process left `left`, or returns who has that right. Without it,
   * two processes that find the same dead holder could each remove what the other has just put there. Compare the content once
   * more before you replace it: somebody may have done so already. The right is a lock too, so it survives the death of its holder.
   */
  static toReplace(path: string, left: string): Lock | Holder {
    const generation = createHash("sha256").update(left).digest("hex").slice(0, GENERATION_CHARACTERS);
    return Lock.take(`${path}.${generation}`);
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

/** What is at `path`, as text that is different for every holder; `null` if nothing is. */
function contentOf(path: string): string | null {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : readFileSync(path, "utf8");
  } catch (reason) {
    if (reason instanceof Error && "code" in reason && reason.code === "ENOENT") return null;
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
