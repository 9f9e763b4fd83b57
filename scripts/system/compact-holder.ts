import { lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { type Holder, MAX_PID } from "./lock-holder.ts";

/**
 * A lock's holder, encoded in the target of a symbolic link. Common file systems store a target of less than 60 bytes in the inode
 * itself. So the link can be created and replaced on a full disk, which has no block left for a file's content, and a connector
 * can still start there. The link points nowhere and is never followed.
 */
const PREFIX = "codez";

const LETTERS = { connecting: "c", online: "o", offline: "f" } as const satisfies Record<Holder["state"], string>;

function targetOf({ pid, started, state }: Holder): string {
  return [PREFIX, LETTERS[state], pid, started ?? ""].join(":");
}

/** Creates the link. Throws EEXIST when something exists at the path. */
export function linkHolder(path: string, holder: Holder): void {
  symlinkSync(targetOf(holder), path);
}

/** Atomically replaces whatever is at `path` by the link. */
export function replaceByLink(path: string, holder: Holder): void {
  const fresh = `${path}.${process.pid}.link`;
  rmSync(fresh, { force: true });
  symlinkSync(targetOf(holder), fresh);
  renameSync(fresh, path);
}

/** The holder in the link at `path`; `null` if there is no such link. */
export function holderInLink(path: string): Holder | null {
  let target: string;
  let sinceMs: number;
  try {
    target = readlinkSync(path);
    sinceMs = Math.round(lstatSync(path).mtimeMs);
  } catch {
    return null; // a file, or nothing
  }
  const [prefix, letter, pid, ...started] = target.split(":");
  const state = (["connecting", "online", "offline"] as const).find((one) => LETTERS[one] === letter);
  if (prefix !== PREFIX || state === undefined || !/^[1-9]\d{0,9}$/.test(pid ?? "") || Number(pid) > MAX_PID)
    return null;
  const detail = "its disk is full";
  return { pid: Number(pid), started: started.join(":") || null, sinceMs, state, detail };
}
