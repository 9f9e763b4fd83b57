import { HOSTILE, type Hostility } from "../../../scripts/local/platform/hostility/hostility.ts";

/** The seed of these tests' Operators: always the same, so that a change is judged by what it does. OPERATOR_SEED tries another one. */
const SEED = Number(process.env["OPERATOR_SEED"] ?? 1);

/**
 * How unkind the platform is under an Operator of these tests: as unkind as Cloudflare can be, unless OPERATOR_KIND is set. The
 * printed seed makes the same happen again.
 */
export function hostilityOfTests(changes: Partial<Hostility>): Hostility | null {
  if (process.env["OPERATOR_KIND"] === "1") return null;
  console.log(`unkind platform: OPERATOR_SEED=${SEED} repeats this run, OPERATOR_KIND=1 is without it`);
  return { ...HOSTILE, seed: SEED, ...changes };
}
