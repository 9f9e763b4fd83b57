import type { Ledger } from "./ledger.ts";
import { atShare } from "./share.ts";
import type { Look, Resources } from "./resources.ts";

/** Examples of a broken invariant that are printed; the count says how many there are. */
const EXAMPLES = 8;

/** The table of invariants, and whether all held. */
export function report(ledger: Ledger, resources: Resources): { readonly text: string; readonly isSound: boolean } {
  const invariants: readonly (readonly [string, readonly string[]])[] = [
    [`each call ended once, in time, with a true outcome (${ledger.calls.size} calls)`, ledger.untrue()],
    [`each tool ran at most once (${ledger.runs.size} ran)`, ledger.repeated()],
    [`each event came once and in order (${total(ledger)} events)`, ledger.disordered()],
    [
      `each machine came back in time, and nothing was left behind (${ledger.returns.length} returns)`,
      ledger.violations,
    ],
  ];
  const lines = ["", "faults"];
  for (const [name, count] of [...ledger.faults].sort()) lines.push(`  ${String(count).padStart(5)}  ${name}`);
  lines.push("", "calls");
  for (const [outcome, count] of outcomes(ledger)) lines.push(`  ${String(count).padStart(5)}  ${outcome}`);
  const seconds = ledger.returns.map((one) => one.seconds).sort((one, other) => one - other);
  if (seconds.length > 0)
    lines.push(
      "",
      `back after a fault: median ${atShare(seconds, 0.5)} s, 99 % within ${atShare(seconds, 0.99)} s, longest ${atShare(seconds, 1)} s`,
    );
  lines.push("", ...soak(resources));
  lines.push("", "invariants");
  for (const [text, broken] of invariants) {
    lines.push(`  ${broken.length === 0 ? "held  " : `BROKEN ${broken.length} times`}  ${text}`);
    for (const one of broken.slice(0, EXAMPLES)) lines.push(`            ${one}`);
  }
  return { text: lines.join("\n"), isSound: invariants.every(([, broken]) => broken.length === 0) };
}

function total(ledger: Ledger): number {
  let sum = 0;
  for (const count of ledger.emitted.values()) sum += count;
  return sum;
}

function outcomes(ledger: Ledger): [string, number][] {
  const counts = new Map<string, number>();
  for (const { outcomes: ended } of ledger.calls.values())
    for (const outcome of ended) {
      const name = outcome.kind === "error" ? `error ${outcome.code}` : outcome.kind;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
  return [...counts].sort(([, one], [, other]) => other - one);
}

/** Samples shown of a long run, evenly spread. What grows without end is seen in them, and what grows once is not mistaken for it. */
const SAMPLES = 10;

/** What Operator's processes used over the time of the run. */
function soak({ looks }: Resources): string[] {
  const [first] = looks;
  if (first === undefined) return [];
  const every = Math.max(1, (looks.length - 1) / (SAMPLES - 1));
  const shown = Array.from({ length: Math.min(SAMPLES, looks.length) }, (_, index) => looks[Math.round(index * every)]);
  return [
    "Operator    memory (PSS)  descriptors  processes  state on disk",
    ...shown.flatMap((look) => (look === undefined ? [] : [sample(look, first.atMs)])),
  ];
}

function sample({ atMs, memoryMb, descriptors, processes, diskMb }: Look, fromMs: number): string {
  const minutes = ((atMs - fromMs) / 60_000).toFixed(1);
  return [
    `  ${minutes.padStart(5)} min`,
    `${memoryMb.toFixed(0)} MB`.padStart(13),
    String(descriptors).padStart(13),
    String(processes).padStart(11),
    `${diskMb.toFixed(1)} MB`.padStart(15),
  ].join("");
}
