import { expect, onTestFinished, test } from "vitest";
import { CpuWatch } from "../../../../scripts/local/platform/cpu-watch.ts";
import { bench, eventually, gate, NAMESPACE, upload } from "../support/harness.ts";

/** Loops for good, uses as much in many turns, or answers. */
const SCRIPT = `
const burn = () => { let sum = 0; for (let at = 0; at < 30_000_000; at += 1) sum += at % 7; return sum; };
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/loop") for (;;) burn();
    if (pathname === "/turns") for (let turn = 0; turn < 40; turn += 1) { burn(); await scheduler.wait(1); }
    return new Response("done");
  },
};`;

test.skipIf(process.platform !== "linux")(
  "a script in an endless loop is ended and started again; one that uses as much in many turns is not, nor is a neighbour",
  async () => {
    const { client, platform } = await bench();
    for (const name of ["attic", "barn"]) await upload(client, name, SCRIPT);
    const { call } = await gate(platform);
    const script = (name: string) => platform.directory.find(NAMESPACE, name);
    for (const name of ["attic", "barn"]) expect(await (await call(name, "/")).text()).toBe("done");
    const [attic, barn] = [script("attic")?.pid, script("barn")?.pid];
    const said: string[] = [];
    const watch = new CpuWatch({
      scripts: () => platform.directory.list().flatMap((namespace) => namespace.scripts()),
      report: (line) => said.push(line),
      lookMs: 50,
      limitMs: 1_000,
    });
    onTestFinished(() => watch.stop());
    // With a body, because a call without one is made again when its process is lost.
    const looping = call("attic", "/loop", { method: "POST", body: "x" }).then(
      (response) => response.status,
      () => "failed",
    );
    expect(await (await call("barn", "/turns")).text()).toBe("done");
    expect(await looping).not.toBe(200);
    expect(said).toEqual([expect.stringMatching(/^machine script attic: ended after \d+ s of processor time/)]);
    expect(script("barn")?.pid).toBe(barn);
    await eventually(
      () => (script("attic")?.pid !== attic && script("attic")?.pid !== null ? true : undefined),
      "the next process",
    );
    expect(await (await call("attic", "/")).text()).toBe("done");
  },
);
