import { readFileSync } from "node:fs";
import { endianness } from "node:os";

/** Linux' tables of connections, for both families: a program that listens at `::` takes IPv4 connections as well. */
const TABLES = ["/proc/net/tcp", "/proc/net/tcp6"];

/** The state of a socket that listens (TCP_LISTEN in Linux' tcp_states.h). */
const LISTENS = "0A";

/** Addresses at which a socket takes connections to 127.0.0.1, as the tables of a little-endian computer have them. */
const REACHED: ReadonlySet<string> = new Set([
  "0100007F",
  "00000000",
  "00000000000000000000000000000000",
  "0000000000000000FFFF00000100007F",
]);

/** The ids of the users whose programs listen at a port of 127.0.0.1. `null` if that cannot be told, as on other systems than Linux. */
export function listenersAt(port: number): number[] | null {
  const rows = TABLES.flatMap((table) => rowsOf(table)).filter(([, , , state]) => state === LISTENS);
  if (rows.length === 0 || endianness() === "BE") return null;
  return rows.flatMap(([, local = "", , , , , , uid]) => {
    const [address = "", hex = ""] = local.split(":");
    return REACHED.has(address) && Number.parseInt(hex, 16) === port ? [Number(uid)] : [];
  });
}

/** Rows: number, local and remote address, state, queues, timer, retransmissions, user id, and more. */
function rowsOf(table: string): string[][] {
  try {
    const [, ...rows] = readFileSync(table, "utf8").trimEnd().split("\n");
    return rows.map((row) => row.trim().split(/ +/));
  } catch {
    return []; // no Linux, or no IPv6
  }
}
