import { randomInt } from "node:crypto";
import { HOSTILE, type Hostility } from "../../../scripts/local/platform/hostility/hostility.ts";

/** The seed of this file's Operators. OPERATOR_SEED repeats a run that failed. */
const SEED = Number(process.env["OPERATOR_SEED"] ?? randomInt(1_000_000));

/**
 * How unkind the platform is under an Operator of these tests: as unkind as Cloudflare can be, unless OPERATOR_KIND is set. A test that
 * fails prints the seed with which the same happens again.
 */
export function hostilityOfTests(changes: Partial<Hostility>): Hostility | null {
  if (process.env["OPERATOR_KIND"] === "1") return null;
  console.log(`unkind platform: OPERATOR_SEED=${SEED} repeats this run, OPERATOR_KIND=1 is without it`);
  return { ...HOSTILE, seed: SEED, ...changes };
}
