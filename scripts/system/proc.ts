import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/**
 * What Linux tells of processes in /proc (proc(5)). Each function answers with nothing for a process that has just ended or belongs
 * to somebody else, and where there is no /proc, as on macOS.
 */

/** The text of a file below /proc, or an empty string. */
export function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, "utf8");
  } catch {
    return "";
  }
}

export function childrenOf(parent: number): number[] {
  return readProc(`${parent}/task/${parent}/children`).split(" ").filter(Boolean).map(Number);
}

/** Memory in bytes as PSS: a page that several processes share is divided among them. `null` if it is not known. */
export function pssOf(pid: number): number | null {
  const [, kilobytes] = /^Pss:\s+(\d+) kB$/m.exec(readProc(`${pid}/smaps_rollup`)) ?? [];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}

/** Linux counts processor time in hundredths of a second for programs, on every architecture (USER_HZ, time(7)). */
const TICK_MS = 10;

/** Processor time that a process has used so far, in all its threads. Milliseconds; `null` if it is not known. */
export function cpuMsOf(pid: number): number | null {
  // The name may have spaces and brackets, so the fields are counted from its end: utime is the 12th from there, stime the 13th.
  const fields = readProc(`${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
  const [user, system] = [Number(fields[11]), Number(fields[12])];
  return Number.isNaN(user + system) ? null : (user + system) * TICK_MS;
}

/** The inodes of the sockets that a process has open. */
export function socketsOf(pid: number): string[] {
  return descriptorsOf(pid).flatMap((fd) => /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/${pid}/fd/${fd}`))?.[1] ?? []);
}

function descriptorsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return ""; // closed meanwhile
  }
}
