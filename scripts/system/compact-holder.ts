import { lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import type { Holder } from "./lock-holder.ts";

/**
 * A lock's holder in a symbolic link's target. Common file systems keep a target of under 60 bytes in the inode itself, so
 * the link can be made and replaced on a disk that has no block left for a file's content, which is exactly when a
 * connector must be able to start. It leads nowhere and is never followed.
 */
const PREFIX = "codez";

const LETTERS = { connecting: "c", online: "o", offline: "f" } as const satisfies Record<Holder["state"], string>;

function targetOf({ pid, started, state }: Holder): string {
  return [PREFIX, LETTERS[state], pid, started ?? ""].join(":");
}

/** Makes the link; throws EEXIST when something is there. */
export function linkHolder(path: string, holder: Holder): void {
  symlinkSync(targetOf(holder), path);
}

/** Puts the link in place of what is at `path`, in one step. */
export function replaceByLink(path: string, holder: Holder): void {
  const fresh = `${path}.${process.pid}.link`;
  rmSync(fresh, { force: true });
  symlinkSync(targetOf(holder), fresh);
  renameSync(fresh, path);
}

/** The holder in the link at `path`; `null`: no such link is there. */
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
  if (prefix !== PREFIX || state === undefined || !Number.isInteger(Number(pid))) return null;
  const detail = "its disk takes no more files";
  return { pid: Number(pid), started: started.join(":") || null, sinceMs, state, detail };
}
