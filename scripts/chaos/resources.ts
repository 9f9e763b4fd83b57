import { diskMb } from "./disk.ts";
import { descriptors, pssMb } from "./processes.ts";
import type { World } from "./world.ts";

export type Look = {
  readonly atMs: number;
  readonly memoryMb: number;
  readonly descriptors: number;
  readonly processes: number;
  /** Operator's state folder with its databases and logs. */
  readonly diskMb: number;
};

/** Samples what Operator's processes use during a campaign. */
export class Resources {
  readonly looks: Look[] = [];
  readonly #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  look(): void {
    const pids = this.#world.operator.processes.map(({ pid }) => pid);
    if (pids.length === 0) return;
    this.looks.push({
      atMs: performance.now(),
      memoryMb: pssMb(pids),
      descriptors: descriptors(pids),
      processes: pids.length,
      diskMb: diskMb(this.#world.operator.stateFolder),
    });
  }
}
