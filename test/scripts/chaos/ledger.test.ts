import { describe, expect, it } from "vitest";
import { Ledger, type Outcome } from "../../../scripts/chaos/ledger.ts";

function ledgerWith(outcome: Outcome | null, runs: number): Ledger {
  const ledger = new Ledger();
  const call = ledger.begin({ id: "call-1", machine: "m1", way: "machine", startedMs: 0 });
  for (let run = 0; run < runs; run += 1) ledger.ran("call-1");
  if (outcome !== null) ledger.end(call, outcome);
  return ledger;
}

const failed = (code: string, mayHaveRun = false): Outcome => ({ kind: "error", code, mayHaveRun, message: "" });

describe("the ledger of a campaign", () => {
  it.each([
    ["an answer to a call that ran once", { kind: "answered" }, 1],
    ["an error that promises nothing, of a call that ran", failed("link_lost"), 1],
    ["an error that promises nothing, of a call that did not run", failed("machine_timeout"), 0],
    ["a refusal of a call that did not run", failed("machine_offline"), 0],
    ["machine_failed that says that the call may have run", failed("machine_failed", true), 1],
    ["a broken connection of a call that ran", { kind: "broken", reason: "reset" }, 1],
  ] satisfies [string, Outcome, number][])("accepts %s", (_, outcome, runs) => {
    const ledger = ledgerWith(outcome, runs);
    expect([ledger.untrue(), ledger.repeated()]).toEqual([[], []]);
  });

  it.each([
    ["an answer to a call that never ran", { kind: "answered" }, 0],
    ["a refusal of a call that ran", failed("machine_offline"), 1],
    ["machine_failed for a call that ran", failed("machine_failed"), 1],
    ["a call that hung", { kind: "hung" }, 0],
    ["another call's answer", { kind: "wrong", got: "call-2" }, 1],
    ["a call that never ended", null, 0],
  ] satisfies [string, Outcome | null, number][])("finds %s", (_, outcome, runs) => {
    expect(ledgerWith(outcome, runs).untrue()).toHaveLength(1);
  });

  it("finds a call that ended twice, and a tool that ran twice", () => {
    const ledger = ledgerWith({ kind: "broken", reason: "reset" }, 2);
    const [call] = ledger.calls.values();
    if (call !== undefined) ledger.end(call, { kind: "broken", reason: "reset again" });
    expect(ledger.untrue()).toHaveLength(1);
    expect(ledger.repeated()).toEqual(["call-1 ran 2 times"]);
  });

  it.each([
    ["a lost event", [1, 3]],
    ["a doubled event", [1, 2, 2, 3]],
    ["events in another order", [2, 1, 3]],
    ["an event that has not come yet", [1, 2]],
    ["a machine whose events never came", []],
  ])("finds %s", (_, seen) => {
    const ledger = new Ledger();
    ledger.emitted.set("m1", 3);
    ledger.seen.set("m1", seen);
    expect(ledger.disordered()).toHaveLength(1);
  });

  it("accepts events of two machines that arrived once and in order", () => {
    const ledger = new Ledger();
    for (const machine of ["m1", "m2"]) {
      ledger.emitted.set(machine, 2);
      ledger.seen.set(machine, [1, 2]);
    }
    expect(ledger.disordered()).toEqual([]);
  });
});
