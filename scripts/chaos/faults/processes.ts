import { setTimeout as sleep } from "node:timers/promises";
import { signal } from "../processes.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

const everyone = ({ machines }: World): string[] => machines.map(({ name }) => name);

/** Records a violation if processes were left running or a restart fails. The campaign continues in both cases. */
async function restart(world: World, how: "stop" | "kill", pauseMs: number): Promise<void> {
  const left = await world.operator[how]();
  for (const { pid, command } of left)
    world.ledger.violations.push(
      `after ${how === "kill" ? "kill -9" : "SIGTERM"} of the start, process ${pid} lived on: ${command.slice(0, 120)}`,
    );
  await sleep(pauseMs);
  await world.operator.start();
}

export const PROCESS_FAULTS: readonly Fault[] = [
  {
    name: "kill -9 of a connector",
    weight: 4,
    async inject({ machines }, random) {
      const machine = random.pick(machines);
      machine.kill();
      await sleep(random.integer(0, 1_000));
      machine.connect();
      return [machine.name];
    },
  },
  {
    name: "freeze of a connector",
    weight: 2,
    async inject({ machines }, random) {
      const machine = random.pick(machines);
      if (machine.pid !== null) {
        signal(machine.pid, "SIGSTOP");
        await sleep(random.integer(500, 8_000));
        signal(machine.pid, "SIGCONT");
      }
      return [machine.name];
    },
  },
  {
    name: "kill -9 of a workerd",
    weight: 4,
    async inject(world, random) {
      const workerds = world.operator.processes.filter(({ isWorkerd }) => isWorkerd);
      if (workerds.length > 0) signal(random.pick(workerds).pid, "SIGKILL");
      return everyone(world);
    },
  },
  {
    name: "freeze of a workerd",
    weight: 2,
    async inject(world, random) {
      const workerds = world.operator.processes.filter(({ isWorkerd }) => isWorkerd);
      if (workerds.length === 0) return [];
      const { pid } = random.pick(workerds);
      signal(pid, "SIGSTOP");
      await sleep(random.integer(500, 8_000));
      signal(pid, "SIGCONT");
      return everyone(world);
    },
  },
  {
    name: "kill -9 of the start",
    weight: 1,
    async inject(world, random) {
      await restart(world, "kill", random.integer(0, 3_000));
      return everyone(world);
    },
  },
  {
    name: "restart",
    weight: 1,
    async inject(world, random) {
      await restart(world, "stop", random.integer(0, 3_000));
      return everyone(world);
    },
  },
];
