import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { StartRollout } from "#protocol/rollout.ts";
import { RolloutStore } from "../../../../control-api/src/user/rollout/rollout-store.ts";
import { type Health, Rollouts, STEP_MS } from "../../../../control-api/src/user/rollout/rollouts.ts";
import type { User } from "../../../../control-api/src/user/user.ts";
import { env, TestUser } from "../../support/operator.ts";

const MINUTE_MS = 60_000;

type SimulatedMachine = {
  name: string;
  online: boolean;
  template: string;
  facts: null;
  code: string;
  exchanges: number;
  /** Overrides of how it is while it has the new template. */
  broken?: Partial<Health>;
};

/** Machines, the API and a clock, without any of them. The store is the real one. */
class World {
  nowMs = 1_000_000;
  readonly machines = new Map<string, SimulatedMachine>();
  readonly requests: number[] = [];
  readonly uploads: string[] = [];
  /** What the API does with an upload of the new template: takes it, refuses it, or has no time for it. */
  verdict: (name: string) => "take" | "refuse" | "busy" = () => "take";
  /** The template that Operator has. */
  template = "new";
  /** The former script goes on running for this long. */
  lateMs = 0;
  #wake: { atMs: number; run: string } | null = null;
  #runs = 0;
  readonly #store: RolloutStore;

  constructor(storage: DurableObjectStorage, count: number) {
    this.#store = new RolloutStore(storage);
    for (let at = 0; at < count; at += 1) {
      const name = `m${String(at).padStart(4, "0")}`;
      this.machines.set(name, { name, online: true, template: "old", facts: null, code: "old code", exchanges: 0 });
    }
  }

  /** A new one for each step: nothing is kept in memory in between. */
  get rollouts(): Rollouts {
    return new Rollouts(this.#store, {
      now: () => this.nowMs,
      machines: () => [...this.machines.values()],
      template: () => this.template,
      newRun: () => `run-${(this.#runs += 1)}`,
      wake: async (ms, run) => void (this.#wake = { atMs: this.nowMs + ms, run }),
      codeOf: async (name) => {
        this.requests.push(this.nowMs);
        return this.#of(name).code;
      },
      health: async (name) => {
        const { online, template, exchanges, broken } = this.#of(name);
        const health = { online, template, exchanges, answers: online };
        return template === "new" && broken !== undefined ? { ...health, ...broken } : health;
      },
      upload: async (name, earlier) => {
        this.requests.push(this.nowMs, this.nowMs);
        const machine = this.#of(name);
        const verdict = earlier === null ? this.verdict(name) : "take";
        if (verdict === "busy") return { later: "429" };
        if (verdict === "refuse") return { refused: "SyntaxError" };
        const { template } = earlier ?? this;
        this.uploads.push(`${template} to ${name}`);
        const take = (): void => void Object.assign(machine, earlier ?? { template, code: "new code" });
        if (this.lateMs === 0) take();
        else this.#later.push({ atMs: this.nowMs + this.lateMs, take });
        return { done: true };
      },
    });
  }

  readonly #later: { atMs: number; take: () => void }[] = [];

  /** Lets the time pass until nothing is to be done any more, or until then. */
  async run(untilMs = Infinity): Promise<void> {
    while (this.#wake !== null && this.#wake.atMs <= untilMs) {
      const { atMs, run } = this.#wake;
      this.#wake = null;
      this.nowMs = atMs;
      for (const one of this.#later.splice(0)) {
        if (one.atMs <= atMs) one.take();
        else this.#later.push(one);
      }
      await this.rollouts.step(run);
      if (this.nowMs > 1_000_000 + 24 * 60 * MINUTE_MS) throw new Error("a rollout that never ends");
    }
    if (untilMs !== Infinity) this.nowMs = untilMs;
  }

  async start(options: StartRollout = {}): Promise<void> {
    const started = await this.rollouts.start(options);
    if ("code" in started) throw new Error(JSON.stringify(started));
  }

  /** How many machines are at each step. */
  get counts(): Record<string, number> {
    const steps = this.rollouts.current?.machines.map(({ step }) => step) ?? [];
    return Object.fromEntries([...new Set(steps)].map((step) => [step, steps.filter((one) => one === step).length]));
  }

  /** The largest number of requests to the API in any five minutes. */
  get busiest(): number {
    return Math.max(
      ...this.requests.map(
        (fromMs) => this.requests.filter((ms) => ms >= fromMs && ms < fromMs + 5 * MINUTE_MS).length,
      ),
    );
  }

  #of(name: string): SimulatedMachine {
    const machine = this.machines.get(name);
    if (machine === undefined) throw new Error(`no ${name}`);
    return machine;
  }
}

async function world(count: number, body: (world: World) => Promise<void>): Promise<void> {
  const stub = env.USER.getByName(new TestUser().id) as unknown as DurableObjectStub<User>;
  await runInDurableObject(stub, (_, { storage }) => body(new World(storage, count)));
}

const machine = (at: World, name: string): SimulatedMachine => at.machines.get(name) as SimulatedMachine;

describe("a rollout", () => {
  it("to 1,000 machines ends within the API's limit of 1,200 requests in five minutes, and within half an hour", async () => {
    await world(1_000, async (of) => {
      await of.start();
      await of.run();
      expect([of.rollouts.current?.state, of.counts]).toEqual(["done", { healthy: 1_000 }]);
      expect(of.uploads).toHaveLength(1_000);
      expect(of.busiest).toBeLessThan(800);
      expect(of.nowMs - 1_000_000).toBeLessThan(30 * MINUTE_MS);
      expect(of.requests.length).toBe(2_001); // the former code is read once
    });
  });

  it("gives it to the canaries, and to the others only when those came through their time", async () => {
    await world(4, async (of) => {
      await of.start({ canary: { names: ["m0002"] }, watchMs: MINUTE_MS });
      await of.run(of.nowMs + MINUTE_MS - STEP_MS);
      expect(of.uploads).toEqual(["new to m0002"]);
      await of.run();
      expect(of.uploads).toHaveLength(4);
      expect(of.rollouts.current?.state).toBe("done");
    });
  });

  it.each<[string, Partial<Health> | "refuse", string]>([
    ["throws at its start", "refuse", "SyntaxError"],
    ["throws at every request", { online: false, template: null, answers: null }, "does not answer"],
    ["refuses the link", { online: false, answers: null }, "link did not come back"],
    ["answers calls wrongly or never", { answers: false }, "MCP server answered calls before"],
  ])("of a template that %s goes back by itself, and reaches no machine but the canary", async (_, how, why) => {
    await world(10, async (of) => {
      if (how === "refuse") of.verdict = () => "refuse";
      else for (const one of of.machines.values()) one.broken = how;
      await of.start({ canary: { names: ["m0003"] } });
      await of.run();
      expect(of.rollouts.current).toMatchObject({ state: "back", reason: expect.stringContaining(why) });
      expect([...of.machines.values()].filter(({ code }) => code !== "old code")).toEqual([]);
      expect(of.uploads).toEqual(how === "refuse" ? [] : ["new to m0003", "old to m0003"]);
      expect(of.rollouts.allowsUpgradeAtDial).toBe(false);
    });
  });

  it("goes back when Operator gets another template meanwhile, which no canary has tried", async () => {
    await world(4, async (of) => {
      await of.start({ canary: { names: ["m0002"] }, watchMs: MINUTE_MS });
      await of.run(of.nowMs + MINUTE_MS / 2);
      of.template = "newer";
      await of.run();
      expect(of.uploads).toEqual(["new to m0002", "old to m0002"]);
      expect(of.rollouts.current).toMatchObject({ state: "back", reason: expect.stringContaining("another template") });
      await of.start();
      await of.run();
      expect([of.rollouts.current?.state, machine(of, "m0001").template]).toEqual(["done", "newer"]);
    });
  });

  it.each<[string, (of: World) => Promise<unknown>]>([
    ["another template", async (of) => (of.template = "newer")],
    ["a pause, after which somebody asks for it", (of) => of.rollouts.pause()],
  ])("goes back also with what was uploaded just before a restart with %s", async (how, happens) => {
    await world(4, async (of) => {
      await of.start({ canary: { names: ["m0002"] }, watchMs: MINUTE_MS });
      await of.run(of.nowMs); // uploaded, and not looked at yet
      await happens(of);
      await of.rollouts.revive();
      if (how !== "another template") await of.rollouts.back();
      await of.run();
      expect(of.uploads).toEqual(["new to m0002", "old to m0002"]);
      expect(of.counts).toEqual({ waiting: 3, back: 1 });
    });
  });

  it("takes a single machine back that fails, and goes on; when more fail, everybody goes back", async () => {
    await world(200, async (of) => {
      machine(of, "m0100").broken = { online: false };
      await of.start();
      await of.run();
      expect([of.rollouts.current?.state, of.counts]).toEqual(["done", { healthy: 199, back: 1 }]);
      expect(machine(of, "m0100").code).toBe("old code");
    });
    await world(200, async (of) => {
      for (let at = 100; at < 120; at += 1) machine(of, `m0${at}`).broken = { answers: false };
      await of.start();
      await of.run();
      expect(of.rollouts.current).toMatchObject({ state: "back", reason: expect.stringContaining("machines failed") });
      expect([...of.machines.values()].filter(({ code }) => code !== "old code")).toEqual([]);
    });
  });

  it("waits for the calls in progress on a machine, but not beyond the limit, and does not hold up the others", async () => {
    await world(30, async (of) => {
      machine(of, "m0005").exchanges = 1;
      machine(of, "m0006").exchanges = 1;
      await of.start({ canary: { names: ["m0000"] }, watchMs: 10_000, waitMs: 10 * MINUTE_MS });
      await of.run(of.nowMs + 5 * MINUTE_MS);
      expect(of.counts).toEqual({ healthy: 28, waiting: 2 });
      machine(of, "m0005").exchanges = 0;
      await of.run(of.nowMs + MINUTE_MS);
      expect(of.counts).toEqual({ healthy: 29, waiting: 1 });
      await of.run();
      expect(of.counts).toEqual({ healthy: 30 });
    });
  });

  it("is patient with a platform that goes on running the former script, and counts the time from when the new one runs", async () => {
    await world(3, async (of) => {
      of.lateMs = 5 * MINUTE_MS;
      await of.start({ canary: { names: ["m0000"] } });
      await of.run(of.nowMs + 5 * MINUTE_MS + 30_000);
      expect(of.counts).toEqual({ watched: 1, waiting: 2 });
      await of.run();
      expect(of.counts).toEqual({ healthy: 3 });
    });
  });

  it("does not take a busy API for a broken template", async () => {
    await world(20, async (of) => {
      let asked = 0;
      of.verdict = () => ((asked += 1) % 3 === 0 ? "take" : "busy");
      await of.start();
      await of.run();
      expect(of.counts).toEqual({ healthy: 20 });
    });
  });

  it("is paused, resumed, and taken back, also when it is done", async () => {
    await world(20, async (of) => {
      await of.start({ watchMs: 10_000 });
      await of.run(of.nowMs + 20_000);
      await of.rollouts.pause();
      const before = of.uploads.length;
      await of.run(of.nowMs + 10 * MINUTE_MS);
      expect(of.uploads).toHaveLength(before);
      expect(of.counts["watched"]).toBeUndefined();
      await of.rollouts.resume();
      await of.run();
      expect(of.counts).toEqual({ healthy: 20 });
      expect(of.rollouts.allowsUpgradeAtDial).toBe(true);
      await of.rollouts.back();
      await of.run();
      expect([of.counts, of.rollouts.allowsUpgradeAtDial]).toEqual([{ back: 20 }, false]);
      expect([...of.machines.values()].filter(({ code }) => code !== "old code")).toEqual([]);
    });
  });

  it("leaves machines that are offline for their next dial, and forgets those that are removed", async () => {
    await world(5, async (of) => {
      machine(of, "m0003").online = false;
      await of.start({ watchMs: 10_000 });
      of.machines.delete("m0004");
      await of.run();
      expect([of.rollouts.current?.state, of.counts]).toEqual(["done", { healthy: 3, offline: 1 }]);
    });
  });

  it("goes on after its object was restarted in the middle of an upload", async () => {
    await world(3, async (of) => {
      await of.start({ canary: { names: ["m0000"] }, watchMs: 10_000 });
      of.verdict = () => {
        throw new Error("the object was restarted");
      };
      await expect(of.run()).rejects.toThrow("restarted");
      of.verdict = () => "take";
      await of.rollouts.revive();
      await of.run();
      expect([of.rollouts.current?.state, of.counts]).toEqual(["done", { healthy: 3 }]);
    });
  });

  it.each<[string, StartRollout["canary"], string]>([
    ["a name that does not exist", { names: ["nobody"] }, '"nobody" cannot be a canary'],
    ["a machine that is offline", { names: ["m0001"] }, '"m0001" cannot be a canary'],
    ["a tag that no machine has", { tag: "plan9" }, '"plan9"'],
  ])("does not start with %s", async (_, canary, why) => {
    await world(2, async (of) => {
      machine(of, "m0001").online = false;
      const refused = await of.rollouts.start(canary === undefined ? {} : { canary });
      expect(JSON.stringify(refused)).toContain(JSON.stringify(why).slice(1, -1));
    });
  });
});
