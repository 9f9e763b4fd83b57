import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Outcomes } from "../../../scripts/serve/outcomes.ts";
import { StateFile } from "../../../scripts/serve/state-file.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "codez-state-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("the state", () => {
  test("changes by merge patches, as in RFC 7396", async () => {
    const state = new StateFile(join(folder, "state.json"));
    await state.update({ a: { b: 1, c: [1, { d: null }] }, e: "f" });
    expect(await state.update({ a: { b: null, g: { h: null, i: 2 } }, e: [1] })).toEqual({
      a: { c: [1, { d: null }], g: { i: 2 } },
      e: [1],
    });
  });

  test("keeps all of many simultaneous changes, and leaves no drafts behind", async () => {
    const state = new StateFile(join(folder, "state.json"));
    await Promise.all(Array.from({ length: 50 }, (_, index) => state.update({ [`key${index}`]: index })));
    expect(Object.keys(await state.read())).toHaveLength(50);
    expect(readdirSync(folder)).toEqual(["state.json"]);
  });

  test("refuses to exceed its limit, and is then unchanged", async () => {
    const state = new StateFile(join(folder, "state.json"));
    await state.update({ small: true });
    await expect(state.update({ large: "x".repeat(2 * 1024 * 1024) })).rejects.toThrow("bytes");
    expect(JSON.parse(readFileSync(join(folder, "state.json"), "utf8"))).toEqual({ small: true });
    expect(await state.update({ next: 1 })).toEqual({ small: true, next: 1 });
  });

  test("gives no access to the prototype", async () => {
    const state = new StateFile(join(folder, "state.json"));
    await state.update(JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"x": 1}}'));
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("the first outcome of a call with a key", () => {
  test("is returned again after a restart, and a failed call may be repeated", async () => {
    const path = join(folder, "outcomes.json");
    const outcomes = new Outcomes(path);
    await outcomes.load();
    let done = 0;
    const recall = async (_: unknown, answer: Record<string, unknown> | null) => answer;
    const work = { run: async () => ({ done: (done += 1) }), recall };
    const fail = {
      run: async () => {
        throw new Error("not this time");
      },
      recall,
    };
    await expect(outcomes.once("k", ["call"], fail)).rejects.toThrow("not this time");
    expect(await outcomes.once("k", ["call"], work)).toEqual({ done: 1 });
    const later = new Outcomes(path);
    await later.load();
    expect(await later.once("k", ["call"], work)).toEqual({ done: 1 });
    await expect(later.once("k", ["another call"], work)).rejects.toThrow("used for another call");
    expect(await later.once(undefined, ["call"], work)).toEqual({ done: 2 });
  });

  test("is looked up where serve ended before it was known, and what was lost is carried out with the same ids", async () => {
    const path = join(folder, "outcomes.json");
    const [first, ids] = [new Outcomes(path), [] as unknown[]];
    await first.load();
    const begun = Promise.withResolvers<void>();
    const never = new Promise<never>(() => undefined);
    const run = async (given: unknown) => {
      ids.push(given);
      begun.resolve();
      return never;
    };
    void first.once("k", ["call"], { run, recall: async () => null });
    await begun.promise;
    const later = new Outcomes(path);
    await later.load();
    const again = async (given: unknown) => {
      ids.push(given);
      return { done: true };
    };
    expect(await later.once("k", ["call"], { run: again, recall: async () => null })).toEqual({ done: true });
    expect(ids[1]).toEqual(ids[0]);
    const last = new Outcomes(path);
    await last.load();
    const found = { run: again, recall: async () => ({ found: true }) };
    expect(await last.once("k", ["call"], found)).toEqual({ found: true });
    expect(ids).toHaveLength(2);
  });

  test("is carried out again if what it began was lost, and never once that is over", async () => {
    const outcomes = new Outcomes(join(folder, "outcomes.json"));
    await outcomes.load();
    let [runs, recalls] = [0, 0];
    let end: (how: "over" | "lost") => void = () => undefined;
    const work = {
      run: async (_: unknown, ended: typeof end) => {
        end = ended;
        return { run: (runs += 1) };
      },
      recall: async () => {
        recalls += 1;
        return null;
      },
    };
    await outcomes.once("k", [], work);
    end("lost");
    expect(await outcomes.once("k", [], work)).toEqual({ run: 2 });
    expect(await outcomes.once("k", [], work)).toEqual({ run: 2 });
    end("over");
    expect(await outcomes.once("k", [], work)).toEqual({ run: 2, status: "dropped" });
    expect([runs, recalls]).toEqual([2, 3]);
  });
});
