import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { connectedPorts } from "../../../../scripts/local/platform/connections.ts";
import { IdleScripts } from "../../../../scripts/local/platform/idle-scripts.ts";
import type { Platform } from "../../../../scripts/local/platform/platform.ts";
import type { UserScript } from "../../../../scripts/local/platform/user-script.ts";
import { firstUpload, MACHINE } from "../fixtures/machine.ts";
import { bench, eventually, gate, NAMESPACE, temporaryFolder, upload } from "../support/harness.ts";

function scriptOf(platform: Platform, name: string): UserScript {
  const script = platform.directory.find(NAMESPACE, name);
  if (script === null) throw new Error("no such script");
  return script;
}

/** Looks often, and takes every script for unused but those that are named. */
function watch(platform: Platform, lookMs: number, inUse: readonly string[] = []): IdleScripts {
  const scripts = () => platform.directory.list().flatMap((namespace) => namespace.scripts());
  const idle = new IdleScripts({
    scripts,
    report: (line) => expect.fail(line),
    lookMs,
    connected: () => Promise.resolve(new Set(inUse.map((name) => scriptOf(platform, name).port ?? 0))),
  });
  onTestFinished(() => idle.stop());
  return idle;
}

test("an unused script has no process until it is called, and its busy neighbour keeps its own", async () => {
  const { client, platform } = await bench();
  for (const name of ["attic", "cellar"]) await upload(client, name, MACHINE, firstUpload(name));
  const { call } = await gate(platform);
  expect(await (await call("attic", "/count")).text()).toBe("1");
  const neighbour = scriptOf(platform, "cellar").pid;
  watch(platform, 25, ["cellar"]);
  await eventually(() => (scriptOf(platform, "attic").pid === null ? true : undefined), "the end of the process");
  expect(scriptOf(platform, "cellar").pid).toBe(neighbour);
  expect(await (await call("attic", "/count")).text()).toBe("2");
});

test("an alarm starts a stopped script when it is due", async () => {
  const { client, platform } = await bench();
  await upload(client, "attic", MACHINE, firstUpload("attic"));
  const { call } = await gate(platform);
  await (await call("attic", "/alarm?in=6000")).text();
  const script = scriptOf(platform, "attic");
  const idle = watch(platform, 25);
  await eventually(() => (script.pid === null ? true : undefined), "the end of the process");
  expect(await script.nextAlarmMs()).toBeGreaterThan(Date.now());
  // Nobody calls it. workerd deletes the alarm when it has run.
  await eventually(async () => ((await script.nextAlarmMs()) === null ? true : undefined), "the alarm");
  await idle.stop();
  expect(await (await call("attic", "/alarms")).text()).toBe("1");
});

test("calls that arrive while a script is being stopped all run, each once", async () => {
  const { client, platform } = await bench();
  const names = Array.from({ length: 6 }, (_, index) => `m${index}`);
  await Promise.all(names.map((name) => upload(client, name, MACHINE, firstUpload(name))));
  const { call } = await gate(platform);
  await Promise.all(
    names.map(async (name, index) => {
      const script = scriptOf(platform, name);
      expect(await (await call(name, "/count")).text()).toBe("1");
      for (let round = 0; round < 6; round += 1) {
        // A script is put to rest a minute after its last call. The binding may stream a body to one that answered within a second.
        await new Promise((resolve) => setTimeout(resolve, 1_050));
        const resting = script.rest();
        // From before the process is told, to after it has ended, which takes some 20 ms.
        await new Promise((resolve) => setTimeout(resolve, (index * 6 + round) % 30));
        const response = await call(name, "/count", { method: "POST", body: "x".repeat(100) });
        expect([response.status, await response.text()]).toEqual([200, String(round + 2)]);
        await resting;
      }
    }),
  );
});

test("the kernel reports which ports are in use, and which were in the last minute", async () => {
  const folder = await temporaryFolder();
  const table = join(folder, "tcp");
  const lines = [
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode",
    "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1",
    "   1: 0100007F:1F91 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 2 1",
    "   2: 0100007F:C351 0100007F:1F92 06 00000000:00000000 00:00000000 00000000     0        0 0 3",
  ];
  writeFileSync(table, `${lines.join("\n")}\n`);
  expect([...((await connectedPorts(table)) ?? [])].toSorted((a, b) => a - b)).toEqual([
    0x1f91, 0x1f92, 0xc350, 0xc351,
  ]);
  expect(await connectedPorts(join(folder, "none"))).toBeNull();

  const { client, platform } = await bench();
  const { call } = await gate(platform);
  if (process.platform !== "linux") return;
  // By chance some program's connection of the last minute had a script's port. It did not have all of them.
  const isConnected = async (name: string) => (await connectedPorts())?.has(scriptOf(platform, name).port ?? 0);
  const unused: string[] = [];
  for (const name of ["attic", "barn", "cellar", "dune"]) {
    await upload(client, name, MACHINE, firstUpload(name));
    if (!(await isConnected(name))) unused.push(name);
  }
  const [name = "none"] = unused;
  await (await call(name, "/count")).text();
  expect(await isConnected(name)).toBe(true);
});
