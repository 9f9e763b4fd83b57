import { isRecord } from "#protocol/json.ts";
import type { IndexedCost } from "../history/session-index.ts";

/** Rows of one machine's answer: what `codez serve` sends at most. */
const MAX_ROWS = 1_000;

/** Projects in an answer, those that cost most. A page shows fewer. */
const MAX_PROJECTS = 200;

/** No day of one project costs as much. A larger number is a mistake, or a machine's joke. */
const MAX_COST_USD = 1_000_000;

const MAX_NAME_CHARACTERS = 400;

/** What one machine used on one day in one project, with one model. */
type Row = { readonly day: string; readonly project: string; readonly used: Usage };

export type MachineUsage = { readonly machine: string; readonly rows: readonly Row[]; readonly isCut: boolean };

/** Tokens, and the cost where the machine knows the model's price. */
export type Usage = {
  readonly costUsd: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Whether something is not in `costUsd`, because the machine knows no price for a model. */
  readonly isIncomplete: boolean;
};

export type Costs = {
  readonly days: number;
  readonly total: Usage;
  /** Oldest first, only days on which something was used. */
  readonly byDay: readonly ({ readonly day: string } & Usage)[];
  /** The most expensive first, like projects. */
  readonly byMachine: readonly ({ readonly machine: string } & Usage)[];
  readonly byProject: readonly ({ readonly machine: string; readonly project: string } & Usage)[];
  /** Machines whose numbers are missing, and why. */
  readonly unanswered: readonly { readonly machine: string; readonly why: string }[];
  /**
   * Of these machines: what their sessions of this time had cost in all when Operator last heard of them. It is in no sum, because a
   * session's cost is one number for all of its days, and sessions without Operator are missing. Milliseconds since 1970.
   */
  readonly lastKnown: readonly IndexedCost[];
};

const NOTHING: Usage = { costUsd: 0, inputTokens: 0, outputTokens: 0, isIncomplete: false };

/** Reads a machine's answer to `get_observability`. Everything in it is the machine's word, so each field is checked. */
export function usageIn(
  machine: string,
  told: unknown,
): MachineUsage | { readonly machine: string; readonly why: string } {
  if (!isRecord(told) || !Array.isArray(told["rows"])) return { machine, why: "does not tell its usage" };
  const rows = told["rows"] as unknown[];
  const left = told["rows_omitted"];
  return {
    machine,
    rows: rows.slice(0, MAX_ROWS).flatMap(rowIn),
    isCut: rows.length > MAX_ROWS || (typeof left === "number" && left > 0),
  };
}

function rowIn(told: unknown): Row[] {
  if (!isRecord(told)) return [];
  const { day, slug, cost_usd: cost } = told;
  if (typeof day !== "string" || !/^\d{4}-\d{2}-\d{2}$/.test(day)) return [];
  const isPriced = typeof cost === "number" && cost >= 0 && cost <= MAX_COST_USD;
  const input = [told["input_tokens"], told["cache_read_tokens"], told["cache_write_tokens"]].map(tokensIn);
  return [
    {
      day,
      project: typeof slug === "string" && slug !== "" ? slug.slice(0, MAX_NAME_CHARACTERS) : "unknown",
      used: {
        costUsd: isPriced ? cost : 0,
        inputTokens: input.reduce((all, one) => all + one, 0),
        outputTokens: tokensIn(told["output_tokens"]),
        isIncomplete: !isPriced || Array.isArray(told["models_without_price"]),
      },
    },
  ];
}

function tokensIn(value: unknown): number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : 0;
}

/** Sums what machines told, per day, machine and project. */
export function costsOf(
  days: number,
  told: readonly MachineUsage[],
  unanswered: Costs["unanswered"],
  indexed: readonly IndexedCost[],
): Costs {
  const byDay = new Map<string, Usage>();
  const byMachine = new Map<string, Usage>();
  const byProject = new Map<string, { machine: string; project: string } & Usage>();
  let total = NOTHING;
  for (const { machine, rows, isCut } of told) {
    byMachine.set(machine, { ...NOTHING, isIncomplete: isCut });
    for (const { day, project, used } of rows) {
      total = sum(total, used);
      byDay.set(day, sum(byDay.get(day) ?? NOTHING, used));
      byMachine.set(machine, sum(byMachine.get(machine) ?? NOTHING, used));
      // No machine's name has a line break.
      const key = `${machine}\n${project}`;
      byProject.set(key, { machine, project, ...sum(byProject.get(key) ?? NOTHING, used) });
    }
  }
  const dearest = (one: Usage, other: Usage): number =>
    other.costUsd - one.costUsd || other.outputTokens - one.outputTokens;
  return {
    days,
    total,
    byDay: [...byDay].map(([day, used]) => ({ day, ...used })).sort((one, other) => one.day.localeCompare(other.day)),
    byMachine: [...byMachine].map(([machine, used]) => ({ machine, ...used })).sort(dearest),
    byProject: [...byProject.values()].sort(dearest).slice(0, MAX_PROJECTS),
    unanswered,
    lastKnown: indexed
      .filter(({ machine }) => unanswered.some((one) => one.machine === machine))
      .toSorted((one, other) => other.costUsd - one.costUsd),
  };
}

function sum(one: Usage, other: Usage): Usage {
  return {
    costUsd: one.costUsd + other.costUsd,
    inputTokens: one.inputTokens + other.inputTokens,
    outputTokens: one.outputTokens + other.outputTokens,
    isIncomplete: one.isIncomplete || other.isIncomplete,
  };
}
