import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, onTestFinished, test } from "vitest";
import { damagedDatabases } from "../../../scripts/local/databases.ts";
import { startOperator } from "../../../scripts/local/operator.ts";
import { sharedStandIn } from "./support/stand-in.ts";

const { root, newState } = await sharedStandIn();

test("a start names each damaged database and what is lost without a copy, and continues", async () => {
  const stateDir = await newState();
  const script = join(stateDir, "platform", "namespaces", "operator", "scripts", "attic", "storage", "do", "Machine-1");
  const folders = [
    script,
    ...["User", "Accounts", "OAuthStore"].map((name) => join(stateDir, "control", "do", `x-${name}`)),
  ];
  for (const folder of folders) {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "1.sqlite"), "not what it should be");
    await writeFile(join(folder, "empty.sqlite"), "");
    new DatabaseSync(join(folder, "whole.sqlite")).exec("CREATE TABLE t (x)");
  }
  const reports: string[] = [];
  const operator = await startOperator({ port: 0, stateDir, root, report: (line) => reports.push(line) });
  onTestFinished(() => operator.stop());
  const damages = reports.filter((line) => line.includes("is damaged: it is not a SQLite database"));
  expect(damages).toHaveLength(folders.length);
  const lost = [
    "event log of that machine",
    "access tokens have to be created again",
    "claimed again",
    "sign in again",
  ];
  for (const [index, folder] of folders.entries())
    expect(damages.find((line) => line.startsWith(join(folder, "1.sqlite")))).toContain(lost[index]);
  expect((await fetch(`${operator.url}/count`)).status).toBe(200);
});

test("of a script with many databases a few are looked at, so that no hosted server makes a start take minutes", async () => {
  const stateDir = await newState();
  const scripts = join(stateDir, "platform", "namespaces", "operator", "scripts");
  for (const name of ["many", "attic"]) {
    const folder = join(scripts, name, "storage", "do", "Machine-1");
    await mkdir(folder, { recursive: true });
    for (let one = 0; one < 100; one += 1) await writeFile(join(folder, `${one}.sqlite`), "not what it should be");
  }
  const found = await damagedDatabases(stateDir);
  for (const name of ["many", "attic"])
    expect(found.filter((line) => line.startsWith(join(scripts, name)))).toHaveLength(20);
});
