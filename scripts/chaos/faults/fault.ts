import type { Random } from "../../system/random.ts";
import type { World } from "../world.ts";

/** One kind of fault. It undoes the fault before it resolves, and records violations in the ledger. */
export type Fault = {
  readonly name: string;
  /** How often it is chosen, relative to the others. */
  readonly weight: number;
  /** Machines that may be away afterwards, or all. */
  inject(world: World, random: Random): Promise<readonly string[]>;
  /** Whether it can be injected here; always without it. */
  isPossible?(world: World): boolean;
};
