import type { Rollout, RolloutMachine, RolloutStep } from "#protocol/rollout.ts";

/** More machines than this are counted, and only those that are not done are listed. */
const LISTED = 40;

const STATES: Readonly<Record<Rollout["state"], string>> = {
  canaries: "the canaries are first",
  everyone: "the canaries are well; the others follow",
  done: "done",
  going_back: "going back",
  back: "went back: machines have the template that they had",
};

const STEPS: Readonly<Record<RolloutStep, string>> = {
  waiting: "waits for its turn, or for a call to end",
  offline: "is offline, and gets it when it dials in",
  watched: "has it, and is watched",
  healthy: "has it, and is well",
  going_back: "is going back",
  back: "has what it had",
  refused: "has what it had",
};

/** A rollout as lines for a terminal. */
export function describeRollout(rollout: Rollout, nowMs: number): string[] {
  const { state, isPaused, template, startedMs, machines, reason } = rollout;
  const minutes = Math.round((nowMs - startedMs) / 60_000);
  const notable = ({ step }: RolloutMachine): boolean => step !== "healthy" && step !== "waiting";
  const listed = machines.length <= LISTED ? machines : machines.filter(notable).slice(0, LISTED);
  return [
    `Rollout of template ${template}, started ${minutes} min ago: ${STATES[state]}${isPaused ? " (paused)" : ""}`,
    ...(reason === null ? [] : [`  because of ${reason}`]),
    `  ${countsIn(machines)}`,
    ...listed.map(lineOf),
    ...(listed.length < machines.length ? [`  ... and ${machines.length - listed.length} more`] : []),
  ];
}

function countsIn(machines: readonly RolloutMachine[]): string {
  const counts = Map.groupBy(machines, ({ step }) => step);
  return [...counts].map(([step, all]) => `${all.length} ${step.replace("_", " ")}`).join(", ");
}

function lineOf({ name, step, isCanary, before, reason }: RolloutMachine): string {
  const said = reason === null ? "" : `: ${reason}`;
  return `  ${name}${isCanary ? " (canary)" : ""} ${STEPS[step]} (it had ${before})${said}`;
}
