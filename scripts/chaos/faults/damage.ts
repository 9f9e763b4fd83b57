import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { eventually } from "../eventually.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

/** How long a process may take to say what is wrong with a file. */
const SAID_LIMIT_MS = 15_000;

/** Half of the file is lost, as after a power loss on a disk that reorders writes. The returned function puts it back. */
async function cutInHalf(file: string): Promise<() => Promise<void>> {
  const whole = await readFile(file);
  await truncate(file, Math.floor(whole.length / 2));
  return () => writeFile(file, whole);
}

/** A file without which Operator must not start: its start must fail and name the file. */
function vital(path: string): Fault {
  return {
    name: `damaged ${path.split("/").at(-1)} at a start`,
    weight: 0.5,
    async inject(world) {
      const { operator, ledger, machines } = world;
      await operator.stop();
      const restore = await cutInHalf(join(operator.stateFolder, path));
      try {
        await operator.start();
        ledger.violations.push(`Operator started with a damaged ${path}`);
        await operator.stop();
      } catch (reason) {
        const words = reason instanceof Error ? reason.message : String(reason);
        if (!words.includes(path)) ledger.violations.push(`a damaged ${path} is not named: ${words.slice(0, 200)}`);
      }
      await restore();
      await operator.start();
      return machines.map(({ name }) => name);
    },
  };
}

export const DAMAGE_FAULTS: readonly Fault[] = [
  vital("secrets.json"),
  vital("platform/namespaces/operator/namespace.json"),
  {
    name: "damaged script record at a start",
    weight: 0.5,
    async inject(world, random) {
      const { operator, machines } = world;
      const victim = random.pick(machines);
      await operator.stop();
      const restore = await cutInHalf(
        join(operator.stateFolder, `platform/namespaces/operator/scripts/${victim.name}/script.json`),
      );
      await operator.start(); // one machine's damage must not keep the others away
      for (const { name } of machines)
        if (name !== victim.name && (await world.timeUntilServed(name)) === null)
          world.ledger.violations.push(`the damaged record of ${victim.name} kept ${name} away`);
      await operator.stop();
      await restore();
      await operator.start();
      return machines.map(({ name }) => name);
    },
  },
  {
    name: "damaged profile at a connector's start",
    weight: 0.5,
    async inject(world: World, random) {
      const machine = random.pick(world.machines);
      machine.kill();
      const restore = await cutInHalf(machine.profilePath);
      machine.connect();
      await eventually(SAID_LIMIT_MS, () => machine.exitCode !== null);
      if (machine.exitCode === null) world.ledger.violations.push(`${machine.name} ran on with a damaged profile`);
      else if (!machine.lastWords.includes(machine.profilePath))
        world.ledger.violations.push(`a damaged profile is not named: ${machine.lastWords.slice(-200)}`);
      machine.kill();
      await restore();
      machine.connect();
      return [machine.name];
    },
  },
];
