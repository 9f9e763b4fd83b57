/** How a call ended, as its caller could tell. */
export type Outcome =
  /** The tool's own answer to this call, complete. */
  | { readonly kind: "answered" }
  /** One of Operator's typed errors, in a JSON-RPC error or a tool result. */
  | { readonly kind: "error"; readonly code: string; readonly mayHaveRun: boolean; readonly message: string }
  /** The connection to Operator broke before the answer was complete. */
  | { readonly kind: "broken"; readonly reason: string }
  /** The client hung up on purpose. */
  | { readonly kind: "abandoned" }
  /** Complete, but not an answer to this call. */
  | { readonly kind: "wrong"; readonly got: string }
  /** No answer within the time limit. */
  | { readonly kind: "hung" };

export type Call = {
  readonly id: string;
  readonly machine: string;
  readonly way: "machine" | "unified";
  readonly startedMs: number;
  outcomes: Outcome[];
  endedMs: number | null;
};

/** Errors that promise that the tool did not run, unless their `mayHaveRun` says otherwise. The others say that it may have. */
const NOT_CARRIED_OUT: ReadonlySet<string> = new Set([
  "unauthorized", "forbidden", "invalid_request", "machine_unknown", "machine_offline", "machine_busy",
  "machine_failed", "agent_too_old", "tool_unknown", "rate_limited",
]); // prettier-ignore

/** Records what callers were told and what the MCP servers saw, to compare both at the end. */
export class Ledger {
  readonly calls = new Map<string, Call>();
  /** How often each call's tool ran, as the MCP server saw it. */
  readonly runs = new Map<string, number>();
  /** How many events each machine's server has created. */
  readonly emitted = new Map<string, number>();
  /** Numbers of the events that the follower read, by machine, in the order it read them. */
  readonly seen = new Map<string, number[]>();
  /** Other violations: a failed start, a process left running, a machine that did not come back. */
  readonly violations: string[] = [];
  /** Seconds that machines took to come back, by fault. */
  readonly returns: { readonly fault: string; readonly machine: string; readonly seconds: number }[] = [];
  readonly faults = new Map<string, number>();

  begin(call: Omit<Call, "outcomes" | "endedMs">): Call {
    const begun: Call = { ...call, outcomes: [], endedMs: null };
    this.calls.set(call.id, begun);
    return begun;
  }

  end(call: Call, outcome: Outcome): void {
    call.outcomes.push(outcome);
    call.endedMs = performance.now();
  }

  ran(id: string): void {
    this.runs.set(id, (this.runs.get(id) ?? 0) + 1);
  }

  /** The calls whose outcome contradicts what the server saw, with the contradiction in words. */
  untrue(): string[] {
    const found: string[] = [];
    for (const { id, machine, way, outcomes } of this.calls.values()) {
      const runs = this.runs.get(id) ?? 0;
      const label = `${id} (${machine}, ${way})`;
      if (outcomes.length !== 1) found.push(`${label} ended ${outcomes.length} times`);
      for (const outcome of outcomes) {
        if (outcome.kind === "hung") found.push(`${label} had no answer within its bound`);
        if (outcome.kind === "wrong") found.push(`${label} got another answer: ${outcome.got}`);
        if (outcome.kind === "answered" && runs !== 1) found.push(`${label} was answered but ran ${runs} times`);
        if (outcome.kind === "error" && NOT_CARRIED_OUT.has(outcome.code) && !outcome.mayHaveRun && runs > 0)
          found.push(`${label} was refused with ${outcome.code} (${outcome.message}) but ran ${runs} times`);
      }
    }
    return found;
  }

  repeated(): string[] {
    return [...this.runs].flatMap(([id, runs]) => (runs > 1 ? [`${id} ran ${runs} times`] : []));
  }

  /** Events that are missing, doubled or out of order. */
  disordered(): string[] {
    const found: string[] = [];
    for (const [machine, count] of this.emitted) {
      const seen = this.seen.get(machine) ?? [];
      const wrong = seen.findIndex((number, index) => number !== index + 1);
      if (wrong !== -1)
        found.push(
          `${machine}: event ${seen[wrong]} came where ${wrong + 1} belongs (${seen.length} read, ${count} made)`,
        );
      else if (seen.length < count) found.push(`${machine}: ${count - seen.length} of ${count} events never came`);
    }
    return found;
  }
}
