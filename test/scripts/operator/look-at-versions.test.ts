import { mkdirSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { lookAtVersions } from "../../../scripts/operator/look-at-versions.ts";

test("machine scripts of another release are named, at most a few of many", async () => {
  const folder = await mkdtemp(join(tmpdir(), "operator-versions-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const built = join(folder, "machine.version.txt");
  writeFileSync(built, "aaaa1111");
  const add = (name: string, template: string) => {
    const script = join(folder, "platform/namespaces/operator/scripts", name);
    mkdirSync(script, { recursive: true });
    writeFileSync(join(script, "script.json"), JSON.stringify({ tags: ["operator-machine", `template-${template}`] }));
  };
  expect(lookAtVersions(folder, built)).toEqual([]);
  add("attic", "aaaa1111-ee7a95"); // with the fingerprint that the control API adds
  expect(lookAtVersions(folder, built)).toMatchObject([
    { level: "ok", says: "all 1 machine scripts are of this release" },
  ]);
  for (let number = 1; number <= 7; number += 1) add(`m${number}`, "bbbb2222");
  expect(lookAtVersions(folder, built)).toMatchObject([
    { level: "warning", says: expect.stringMatching(/^7 of 8 machine scripts are of another release: .* and 2 more$/) },
  ]);
  expect(lookAtVersions(folder, join(folder, "none"))).toEqual([]);
});
