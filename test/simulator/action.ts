import * as fc from "fast-check";
import type { Computer } from "./computer.ts";
import type { Fate } from "./platform.ts";
import { kernel } from "./runtime/kernel.ts";
import { PEOPLE, type World } from "./world.ts";

const TYPES = ["session.created", "turn.started", "message", "message", "message", "message.delta", "permission.requested", "permission.resolved", "session.idle", "session.ended"] as const; // prettier-ignore

/** A report of a change is sent within this time (PUSH_INTERVAL_MS, and what a script gathers before). Milliseconds. */
const SENT_WITHIN_MS = 350;

/** The names that machines may be given. */
const NAMES = ["attic", "mini", "cellar"] as const;

const at = fc.nat({ max: 5 });
const who = fc.nat({ max: 1 });
const bytes = fc.nat({ max: 3_000 });

/** What may happen. Numbers choose among what there is at that moment. */
const STEPS = {
  make: fc.record({ do: fc.constant("make" as const), at, session: fc.nat({ max: 2 }), types: fc.array(fc.nat({ max: TYPES.length - 1 }), { minLength: 1, maxLength: 8 }) }),
  flood: fc.record({ do: fc.constant("flood" as const), at, count: fc.integer({ min: 20, max: 90 }) }),
  dial: fc.record({ do: fc.constant("dial" as const), at }),
  hangUp: fc.record({ do: fc.constant("hangUp" as const), at }),
  cut: fc.record({ do: fc.constant("cut" as const), at, sends: fc.nat({ max: 3 }), toScript: bytes, toComputer: bytes, isHalfOpen: fc.boolean() }),
  stall: fc.record({ do: fc.constant("stall" as const), at, isStalled: fc.boolean() }),
  fate: fc.record({ do: fc.constant("fate" as const), at, fate: fc.constantFrom<Fate>("lost", "answer lost", "late", "slow") }),
  late: fc.record({ do: fc.constant("late" as const) }),
  hibernate: fc.record({ do: fc.constant("hibernate" as const), at }),
  restartScript: fc.record({ do: fc.constant("restartScript" as const), at }),
  restartConnector: fc.record({ do: fc.constant("restartConnector" as const), at }),
  stopPerson: fc.record({ do: fc.constant("stopPerson" as const), who }),
  upgrade: fc.record({ do: fc.constant("upgrade" as const), at }),
  rename: fc.record({ do: fc.constant("rename" as const), at, name: fc.nat({ max: 2 }), sends: fc.nat({ max: 8 }) }),
  learn: fc.record({ do: fc.constant("learn" as const), at, isSlow: fc.boolean() }),
  jump: fc.record({ do: fc.constant("jump" as const), ms: fc.constantFrom(-86_400_000, -60_000, 60_000, 86_400_000) }),
  jumpComputer: fc.record({ do: fc.constant("jumpComputer" as const), at, ms: fc.constantFrom(-3_600_000, 3_600_000) }),
  wait: fc.record({ do: fc.constant("wait" as const), ms: fc.constantFrom(10, 60, 300, 6_000, 30_000) }),
  poll: fc.record({ do: fc.constant("poll" as const), who, reader: fc.nat({ max: 3 }) }),
  subscribe: fc.record({ do: fc.constant("subscribe" as const), who, reader: fc.nat({ max: 3 }) }),
  forget: fc.record({ do: fc.constant("forget" as const), at, session: fc.nat({ max: 2 }) }),
  remove: fc.record({ do: fc.constant("remove" as const), at }),
  join: fc.record({ do: fc.constant("join" as const), who, name: fc.nat({ max: 2 }), replace: fc.boolean() }),
  wipeScript: fc.record({ do: fc.constant("wipeScript" as const), at }),
  wipePerson: fc.record({ do: fc.constant("wipePerson" as const), who }),
} as const; // prettier-ignore

/** How often each happens. Losing a whole storage is rare, because it excuses much. */
const WEIGHTS: Readonly<Record<keyof typeof STEPS, number>> = {
  make: 14, flood: 1, dial: 7, hangUp: 1, cut: 4, stall: 3, fate: 4, late: 2, hibernate: 3, restartScript: 2, restartConnector: 1,
  stopPerson: 3, upgrade: 1, rename: 2, learn: 2, jump: 1, jumpComputer: 1, wait: 9, poll: 5, subscribe: 3, forget: 1, remove: 1, join: 1,
  wipeScript: 1, wipePerson: 1,
}; // prettier-ignore

export type Step = {
  [Name in keyof typeof STEPS]: (typeof STEPS)[Name] extends fc.Arbitrary<infer Value> ? Value : never;
}[keyof typeof STEPS];

export const scenarios: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    ...Object.entries(STEPS).map(([name, arbitrary]) => ({
      arbitrary: arbitrary as fc.Arbitrary<Step>,
      weight: WEIGHTS[name as keyof typeof STEPS],
    })),
  ),
  { minLength: 8, maxLength: 40, size: "max" },
);

/** Session ids begin with their owner's name, so that everybody can see whose one is. */
function sessionOf(computer: Computer, index: number): string {
  return `${computer.owner}-${computer.identity}-${index}`;
}

function computerAt(world: World, index: number): Computer {
  const present = world.computers.filter(({ isGone }) => !isGone);
  const among = present.length === 0 ? world.computers : present;
  const computer = among[index % among.length];
  if (computer === undefined) throw new Error("there are no computers");
  return computer;
}

export async function perform(world: World, step: Step): Promise<void> {
  switch (step.do) {
    case "make": {
      const computer = computerAt(world, step.at);
      const session = sessionOf(computer, step.session);
      for (const index of step.types) {
        const type = TYPES[index] ?? "message";
        const n = computer.made.length + 1;
        const data = type === "session.created" ? { title: `title ${n}` } : { role: "assistant", text: `text ${n}` };
        computer.make(type, session, data);
      }
      return;
    }
    case "flood": {
      const computer = computerAt(world, step.at);
      for (let count = 0; count < step.count; count += 1)
        computer.make("message", null, { role: "assistant", text: "flood" });
      return;
    }
    case "dial":
      return world.dial(computerAt(world, step.at));
    case "hangUp": {
      const computer = computerAt(world, step.at);
      return world.cut(computer, 1e9, 1e9, false);
    }
    case "cut": {
      const computer = computerAt(world, step.at);
      // These are on the wire when it is cut.
      for (let count = 0; count < step.sends; count += 1)
        computer.make("message", sessionOf(computer, 0), {
          role: "assistant",
          text: `text ${computer.made.length + 1}`,
        });
      return world.cut(computer, step.toScript, step.toComputer, step.isHalfOpen);
    }
    case "stall":
      computerAt(world, step.at).isStalled = step.isStalled;
      return;
    case "fate":
      world.platform.fates.set(computerAt(world, step.at).slug, step.fate);
      return;
    case "late":
      for (const arrive of world.platform.late.splice(0)) await arrive().catch(() => undefined);
      return;
    case "hibernate": {
      const script = world.platform.scripts.get(computerAt(world, step.at).slug);
      if (script?.machine.isIdle === true) script.machine.stop();
      return;
    }
    case "restartScript":
      return world.platform.restart(computerAt(world, step.at).slug);
    case "restartConnector": {
      const computer = computerAt(world, step.at);
      await world.cut(computer, 0, 0, false);
      return computer.restart();
    }
    case "stopPerson":
      return world.person(PEOPLE[step.who] ?? "ada").object.stop();
    case "upgrade": {
      const { owner, slug, name } = computerAt(world, step.at);
      const script = world.platform.scripts.get(slug);
      if (script === undefined) return;
      script.bindings["TEMPLATE"] = "former";
      world.platform.restart(slug);
      await world.pump();
      await world.ask(owner, (user) => user.upgrade(name, null));
      return;
    }
    case "rename": {
      const computer = computerAt(world, step.at);
      return world.rename(computer, NAMES[step.name] ?? "attic", step.sends);
    }
    case "learn": {
      const computer = computerAt(world, step.at);
      if (step.isSlow) {
        // The report of the first change is still under way when the next one comes.
        world.platform.fates.set(computer.slug, "slow");
        computer.learn();
        await world.advance(SENT_WITHIN_MS);
      }
      return computer.learn();
    }
    case "jump":
      kernel.jump(step.ms);
      return;
    case "jumpComputer":
      computerAt(world, step.at).skewMs += step.ms;
      return;
    case "wait":
      return world.advance(step.ms);
    case "poll": {
      const reader = world.person(PEOPLE[step.who] ?? "ada").readers[step.reader];
      if (reader !== undefined && reader.waiting === null) await reader.poll(0);
      return;
    }
    case "subscribe": {
      const reader = world.person(PEOPLE[step.who] ?? "ada").readers[step.reader];
      reader?.wait();
      return;
    }
    case "forget": {
      const computer = computerAt(world, step.at);
      return world.forget(computer, sessionOf(computer, step.session));
    }
    case "remove":
      return world.remove(computerAt(world, step.at));
    case "join":
      await world.register(PEOPLE[step.who] ?? "ada", NAMES[step.name] ?? "attic", step.replace);
      return;
    case "wipeScript":
      return world.wipeScript(computerAt(world, step.at));
    case "wipePerson":
      return world.wipePerson(PEOPLE[step.who] ?? "ada");
  }
}
