import { mkdir, readFile, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LogFile } from "../../../scripts/local/log-file.ts";
import { temporaryFolder } from "./support/harness.ts";

test("lines are appended to those of an earlier start, and only their owner can read them", async () => {
  const path = join(await temporaryFolder(), "operator.log");
  new LogFile(path, () => {}).write("first start");
  new LogFile(path, () => {}).write("second start");
  expect(await readFile(path, "utf8")).toBe("first start\nsecond start\n");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
});

test("a log never exceeds twice its limit, and keeps its newest lines", async () => {
  const path = join(await temporaryFolder(), "operator.log");
  const log = new LogFile(path, () => {}, 1000);
  for (let n = 0; n < 500; n += 1) log.write(`line ${n}`);
  const [now, before] = await Promise.all([readFile(path, "utf8"), readFile(`${path}.1`, "utf8")]);
  expect(now.length).toBeLessThanOrEqual(1000);
  expect(before.length).toBeLessThanOrEqual(1000);
  expect(`${before}${now}`.trimEnd().split("\n").at(-1)).toBe("line 499");
  log.write("x".repeat(1_000_000));
  expect((await stat(path)).size).toBeLessThan(30_000);
});

test("a log that somebody removed is begun again when it would have been full", async () => {
  const path = join(await temporaryFolder(), "operator.log");
  const told: string[] = [];
  const log = new LogFile(path, (line) => told.push(line), 1000);
  for (let n = 0; n < 10; n += 1) log.write("x".repeat(90));
  await rm(path);
  for (let n = 0; n < 30; n += 1) log.write(`line ${n} ${"x".repeat(90)}`);
  expect(told).toEqual([]);
  expect(await readFile(path, "utf8")).toContain("line 29");
});

test("a log that cannot be written reports it once, throws nothing, and later reports how much is missing", async () => {
  const path = join(await temporaryFolder(), "operator.log");
  const told: string[] = [];
  const log = new LogFile(path, (line) => told.push(line));
  await mkdir(path); // as good as a full disk: every write fails
  log.write("one");
  log.write("two");
  expect(told).toEqual([expect.stringContaining(`${path} cannot be written`)]);
  await rmdir(path);
  await writeFile(path, "");
  log.write("three");
  expect(told[1]).toContain("2 lines");
  expect(await readFile(path, "utf8")).toMatch(/^three\n.*2 lines before this one are missing\n$/);
});
