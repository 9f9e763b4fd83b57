import { describe, expect, it } from "vitest";
import { Upgrades } from "../../../control-api/src/user/upgrades.ts";

/** Cloudflare's limit, and what an upload takes of it. */
const REQUESTS = 1_200;
const PER_UPLOAD = 2;
const WINDOW_MS = 5 * 60_000;

/** A clock that runs from step to step, and what is uploaded when. */
function world(busy = new Set<string>()) {
  const uploads: { name: string; atMs: number }[] = [];
  let nowMs = 1_000_000;
  let wakes: number[] = [];
  let isAllowed = true;
  const upgrades = new Upgrades({
    now: () => nowMs,
    isAllowed: () => isAllowed,
    upgrade: async (name) => void uploads.push({ name, atMs: nowMs }),
    isBusy: async (name) => busy.has(name),
    wakeIn: (seconds) => wakes.push(nowMs + seconds * 1_000),
  });
  return {
    uploads,
    upgrades,
    names: () => uploads.map(({ name }) => name),
    forbid: () => void (isAllowed = false),
    /** Runs the steps that are due until then. At most one may be scheduled at a time. */
    async run(ms: number) {
      const endMs = nowMs + ms;
      for (;;) {
        expect(wakes.length).toBeLessThanOrEqual(1);
        const [atMs] = wakes;
        if (atMs === undefined || atMs > endMs) break;
        wakes = [];
        nowMs = atMs;
        await upgrades.step();
      }
      nowMs = endMs;
    },
  };
}

const machines = (count: number): string[] => Array.from({ length: count }, (_, at) => `m${at}`);

describe("machines that dial in with an older template", () => {
  it("are upgraded at once if they are few, and one of them not again for ten minutes", async () => {
    const { upgrades, names, run } = world();
    for (const name of [...machines(20), "m3"]) await upgrades.dialled(name);
    expect(names()).toEqual(machines(20));
    await run(11 * 60_000);
    await upgrades.dialled("m3");
    expect(names().slice(20)).toEqual(["m3"]);
  });

  it("are all upgraded within a quarter of an hour if 1,000 dial at once, within the API's limit, each once", async () => {
    const { upgrades, uploads, names, run } = world();
    for (const name of machines(1_000)) await upgrades.dialled(name);
    expect(names().length).toBeLessThan(50);
    await run(15 * 60_000);
    expect(new Set(names())).toEqual(new Set(machines(1_000)));
    expect(uploads).toHaveLength(1_000);
    for (const { atMs } of uploads) {
      const inWindow = uploads.filter((one) => one.atMs >= atMs && one.atMs < atMs + WINDOW_MS);
      expect(inWindow.length * PER_UPLOAD).toBeLessThan(REQUESTS * 0.75);
    }
  });

  it("and have to wait are passed over while a call is in progress", async () => {
    const busy = new Set(["m35"]);
    const { upgrades, names, run } = world(busy);
    for (const name of machines(40)) await upgrades.dialled(name);
    await run(60_000);
    expect(names()).toEqual(expect.arrayContaining(machines(35)));
    expect(names()).not.toContain("m35");
    busy.clear();
    await run(60_000);
    expect(names()).toContain("m35");
  });

  it("and have to wait are left to a rollout that has begun", async () => {
    const { upgrades, names, run, forbid } = world();
    for (const name of machines(100)) await upgrades.dialled(name);
    const { length } = names();
    forbid();
    await run(WINDOW_MS);
    expect(names()).toHaveLength(length);
  });
});
