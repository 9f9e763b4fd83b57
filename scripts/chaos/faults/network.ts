import { setTimeout as sleep } from "node:timers/promises";
import type { FaultProxy } from "../fault-proxy.ts";
import type { Random } from "../../system/random.ts";
import type { Fault } from "./fault.ts";

/** The first kilobytes of a link are its handshake: upgrade, hello, welcome. */
const DIAL_BYTES = 2_000;
const LONG_BYTES = 200_000;

/** A fault of one machine's connection. */
function network(name: string, weight: number, act: (proxy: FaultProxy, random: Random) => Promise<void>): Fault {
  return {
    name,
    weight,
    async inject({ machines }, random) {
      const machine = random.pick(machines);
      await act(machine.proxy, random);
      return [machine.name];
    },
  };
}

const direction = (random: Random): "up" | "down" => random.pick(["up", "down"]);

export const NETWORK_FAULTS: readonly Fault[] = [
  network("cut at any byte", 8, async (proxy, random) => {
    proxy.cutAfter(direction(random), random.integer(1, LONG_BYTES));
    await sleep(random.integer(100, 2_000));
    proxy.cutNow();
  }),
  network("cut during a dial", 6, async (proxy, random) => {
    for (let cuts = random.integer(1, 4); cuts > 0; cuts -= 1) {
      proxy.cutNow();
      proxy.cutAfter(direction(random), random.integer(1, DIAL_BYTES));
      await sleep(random.integer(50, 1_500));
    }
    proxy.cutNow();
  }),
  network("half-close", 3, async (proxy, random) => {
    proxy.halfClose(direction(random));
    await sleep(random.integer(100, 2_000));
  }),
  network("outage", 3, async (proxy, random) => {
    proxy.refuse(true);
    proxy.cutNow();
    await sleep(random.integer(500, 8_000));
    proxy.refuse(false);
  }),
  network("stall", 3, async (proxy, random) => {
    proxy.stall();
    await sleep(random.integer(500, 8_000));
    proxy.flow();
  }),
];
