import { DatabaseSync } from "node:sqlite";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Deliveries } from "../../../control-api/src/delivery/deliveries.ts";
import type { Attempt } from "../../../control-api/src/delivery/delivery.ts";
import { type Due, Outbox, type Sql } from "../../../control-api/src/delivery/outbox.ts";
import { Outcomes } from "../../../scripts/serve/outcomes.ts";
import { seeded } from "../../../scripts/system/random.ts";

/**
 * Both real ends of delivery, Operator's outbox and the machine's outcomes, with everything in between that can go wrong: the link is cut
 * before, during and after a call, the machine sleeps and wakes, codez serve or the agent is killed at any step, and so is Operator's
 * object. Whatever happens, each call that was accepted runs once.
 *
 * `DELIVERY_SEEDS=10000 npx vitest run --project scripts test/scripts/delivery` runs more, `DELIVERY_SEED=<n>` replays one.
 */
const SEEDS = Number(process.env["DELIVERY_SEEDS"] ?? 60);
const [FROM, TO] =
  process.env["DELIVERY_SEED"] === undefined ? [1, SEEDS] : Array(2).fill(Number(process.env["DELIVERY_SEED"]));

/** A Durable Object's SQLite, by Node's. Numbered parameters are bound by their numbers. Code of an object that was evicted ends here. */
function sqlOf(database: DatabaseSync, isAlive: () => boolean): Sql {
  return {
    exec(query, ...parameters) {
      if (!isAlive()) throw new Killed();
      const numbered = /\?\d/.test(query);
      const statement = database.prepare(query);
      const bound = numbered
        ? [Object.fromEntries(parameters.map((value, index) => [String(index + 1), value]))]
        : parameters;
      if (/\breturning\b|^\s*select/i.test(query)) {
        const rows = statement.all(...(bound as never[]));
        return { toArray: () => rows as never[], rowsWritten: rows.length };
      }
      const { changes } = statement.run(...(bound as never[]));
      return { toArray: () => [], rowsWritten: Number(changes) };
    },
  };
}

class Killed extends Error {}

function unlessEvicted(reason: unknown): void {
  if (!(reason instanceof Killed)) throw reason;
}

/** A machine: codez serve with its file of outcomes, and an agent that writes down each prompt that it takes. */
class Machine {
  /** Prompts that the agent has taken, by their ids: what Claude Code has in its session's file. */
  readonly taken: string[] = [];
  readonly #path: string;
  readonly #random: () => number;
  /** Prompts in serve's memory, with what has to be told of them. */
  #queue: { turn: string; ended: (how: "over" | "lost") => void }[] = [];
  #outcomes: Outcomes;
  #life = 0;
  isAwake = true;

  constructor(path: string, random: () => number) {
    this.#path = path;
    this.#random = random;
    this.#outcomes = new Outcomes(path);
  }

  /** serve is killed, and started again. Its memory is gone, its files are not. */
  async restart(): Promise<void> {
    this.#life += 1;
    this.#queue = [];
    this.#outcomes = new Outcomes(this.#path);
    await this.#outcomes.load();
  }

  /** The agent ends: what it has not taken is lost. */
  crash(): void {
    for (const { ended } of this.#queue.splice(0)) ended("lost");
  }

  /** The agent takes the next prompt, and perhaps ends its turn. Answers the prompt's id. */
  work(): string | null {
    const next = this.#queue.shift();
    if (next === undefined) return null;
    this.taken.push(next.turn);
    if (this.#random() < 0.5) next.ended("over");
    return next.turn;
  }

  async sendPrompt(key: string, text: string): Promise<Record<string, unknown>> {
    const life = this.#life;
    const alive = (): void => {
      if (life !== this.#life) throw new Killed();
    };
    const answer = await this.#outcomes.once(key, ["send_prompt", text], {
      run: async ({ turn }, ended) => {
        alive();
        // serve may be killed on either side of queueing the prompt.
        if (this.#random() < 0.05) await this.restart();
        alive();
        this.#queue.push({ turn, ended });
        if (this.#random() < 0.05) await this.restart();
        alive();
        return { turn_id: turn, status: "running" };
      },
      recall: async ({ turn }) => (this.taken.includes(turn) ? { turn_id: turn, status: "taken" } : null),
    });
    alive();
    return answer;
  }
}

type Outcome = { readonly states: string[]; readonly texts: Map<string, string> };

/** One run: some calls, and accidents in between. Answers what became of the calls. */
async function run(seed: number, folder: string): Promise<Outcome> {
  const random = seeded(seed);
  const database = new DatabaseSync(":memory:");
  const machine = new Machine(join(folder, `${seed}.json`), random);
  let nowMs = 1_800_000_000_000;
  /** What reached the machine, by the prompt's id: its text. */
  const texts = new Map<string, string>();
  /** Attempts of an object that has ended: their answers reach nobody. */
  let objects = 0;

  const open = (): Deliveries => {
    const mine = (objects += 1);
    const outbox = new Outbox(sqlOf(database, () => mine === objects));
    outboxes.push(outbox);
    const attempt = async ({ key, args }: Due): Promise<Attempt> => {
      const cut = (mayHaveRun: boolean): Attempt => ({ outcome: "away", error: "{}", mayHaveRun });
      if (!machine.isAwake || random() < 0.15) return cut(false);
      try {
        const { text }: { text: string } = JSON.parse(args);
        const answer = await machine.sendPrompt(key, text);
        texts.set(String(answer["turn_id"]), text);
        if (random() < 0.2) return cut(true); // the answer is lost on its way
        const isTaken = answer["status"] === "taken";
        return { outcome: "delivered", answer: JSON.stringify(answer), turn: String(answer["turn_id"]), isTaken };
      } catch (reason) {
        if (reason instanceof Killed) return cut(true);
        throw reason;
      }
    };
    return new Deliveries(outbox, {
      attempt: async (due) => {
        const made = await attempt(due);
        return mine === objects ? made : new Promise<never>(() => undefined);
      },
      isSame: () => true,
      isAllowed: () => true,
      isRepeatable: () => true,
      tell: () => undefined,
      now: () => nowMs,
    });
  };
  const outboxes: Outbox[] = [];
  let deliveries = open();
  const current = (): Outbox => outboxes.at(-1) as Outbox;
  const told = (turn: string | null): void => {
    if (turn !== null) current().taken({ machine: "attic", identity: "i" }, turn, nowMs);
  };
  const send = (index: number): Promise<unknown> =>
    deliveries.send({
      scope: "client",
      key: `k${index}`,
      machine: "attic",
      identity: "i",
      tool: "send_prompt",
      digest: `digest ${index}`,
      session: null,
      args: JSON.stringify({ text: `prompt ${index}` }),
      isQueued: true,
      queueMs: 86_400_000,
    });

  const calls = 1 + Math.floor(random() * 4);
  for (let index = 0; index < calls; index += 1) {
    // The client may repeat its call, and it may repeat it while the first is under way.
    send(index).catch(unlessEvicted);
    if (random() < 0.3) send(index).catch(unlessEvicted);
    for (let step = 0; step < 6; step += 1) {
      nowMs += Math.floor(random() * 30_000);
      const chance = random();
      if (chance < 0.15) machine.isAwake = !machine.isAwake;
      else if (chance < 0.25) await machine.restart();
      else if (chance < 0.35) machine.crash();
      else if (chance < 0.45) deliveries = open(); // Operator's object is evicted, and its attempts end without a word
      else if (chance < 0.6) {
        const turn = machine.work();
        if (random() < 0.8) told(turn); // the event may come much later, or be trimmed
      } else if (chance < 0.7) await Promise.resolve();
      else
        await Promise.race([
          deliveries.deliver("attic", random() < 0.5).catch(unlessEvicted),
          new Promise((resolve) => setImmediate(resolve)),
        ]);
    }
  }
  // At last everything works, and there is time.
  machine.isAwake = true;
  deliveries = open();
  for (let round = 0; round < 60; round += 1) {
    nowMs += 10 * 60_000;
    await deliveries.deliver("attic", true);
    for (let turn = machine.work(); turn !== null; turn = machine.work()) told(turn);
    if (
      current()
        .list("client", 10)
        .every(({ state }) => state === "consumed")
    )
      break;
  }
  const states = current()
    .list("client", 10)
    .map(({ state }) => state);
  const prompts = machine.taken.map((turn) => texts.get(turn) ?? "a prompt that nobody was told of");
  expect(prompts.toSorted(), `seed ${seed}`).toEqual(Array.from({ length: calls }, (_, index) => `prompt ${index}`));
  expect(states, `seed ${seed}`).toEqual(Array.from({ length: calls }, () => "consumed"));
  database.close();
  return { states, texts };
}

describe("a call that was accepted", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "codez-delivery-"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it(
    `runs once, over sleep, cuts and restarts of every part (${TO - FROM + 1} seeds)`,
    { timeout: 3_600_000 },
    async () => {
      for (let seed = FROM; seed <= TO; seed += 1) await run(seed, folder);
    },
  );
});
