import { PRESENCE_CHECK_MS } from "#protocol/limits.ts";
import { MESSAGES_PER_REQUEST, OBJECT_GB, PLAN_PRICE, type Price, PRICES } from "./prices.ts";

/** How an Operator is used. All machines are online all the time, which costs the most. */
export type Use = {
  readonly machines: number;
  readonly callsPerMachineAndDay: number;
  readonly secondsPerCall: number;
};

/** What the code does per call and per check of an idle machine's presence. Tests count it (counts.json). */
export type Counts = {
  readonly call: {
    requests: number;
    objectRequests: number;
    socketMessages: number;
    rowsWritten: number;
    rowsRead: number;
    auditRows: number;
    auditRowsRead: number;
    /** Processor time in all Workers on the way, milliseconds. Set, not counted: see README.md. */
    cpuMs: number;
  };
  readonly idleCheck: {
    objectRequests: number;
    rowsWritten: number;
    rowsRead: number;
    reportRows: number;
    reportRowsRead: number;
    seconds: number;
  };
};

type Metered = keyof typeof PRICES;
export type Month = {
  readonly units: Record<Metered, number>;
  readonly dollars: Record<Metered, number>;
  readonly total: number;
};

const DAYS = 30;
const MONTH_MS = DAYS * 24 * 60 * 60_000;

/** What a month costs. */
export function monthOf({ machines, callsPerMachineAndDay, secondsPerCall }: Use, { call, idleCheck }: Counts): Month {
  const calls = machines * callsPerMachineAndDay * DAYS;
  const checks = machines * (MONTH_MS / PRESENCE_CHECK_MS);
  const requestsPerCall = call.objectRequests + call.socketMessages / MESSAGES_PER_REQUEST;
  const units: Record<Metered, number> = {
    requests: calls * call.requests,
    scripts: machines,
    // The person's own object writes the audit log. Entries of two seconds are written together; the worst case is one call at a time.
    objectRequests: calls * (requestsPerCall + 1) + checks * idleCheck.objectRequests,
    duration: (calls * secondsPerCall + checks * idleCheck.seconds) * OBJECT_GB,
    rowsWritten: calls * (call.rowsWritten + call.auditRows) + checks * (idleCheck.rowsWritten + idleCheck.reportRows),
    rowsRead: calls * (call.rowsRead + call.auditRowsRead) + checks * (idleCheck.rowsRead + idleCheck.reportRowsRead),
    cpuMs: calls * call.cpuMs,
  };
  const dollars = Object.fromEntries(
    Object.entries(PRICES).map(([name, price]) => [name, dollarsOf(units[name as Metered], price)]),
  ) as Record<Metered, number>; // the keys of PRICES
  return { units, dollars, total: PLAN_PRICE + Object.values(dollars).reduce((sum, one) => sum + one, 0) };
}

function dollarsOf(units: number, { included, price, per }: Price): number {
  return (Math.max(0, units - included) / per) * price;
}
