import { execFileSync } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { reposIn } from "../../../scripts/connector/facts.ts";

test("the state of many repositories is read by a few processes at once", async () => {
  const folder = await mkdtemp(join(tmpdir(), "connector-facts-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const log = join(folder, "log");
  // In the place of git. It is in no repository.
  await writeFile(join(folder, "git"), `#!/bin/sh\necho begins >> ${log}\nsleep 0.1\necho ends >> ${log}\nexit 128\n`);
  await chmod(join(folder, "git"), 0o700);
  vi.stubEnv("PATH", `${folder}:${process.env["PATH"]}`);
  onTestFinished(() => void vi.unstubAllEnvs());
  expect(await reposIn(Array.from({ length: 20 }, (_, index) => `/src/${index}`))).toEqual([]);
  let now = 0;
  let most = 0;
  const lines = (await readFile(log, "utf8")).trim().split("\n");
  for (const line of lines) most = Math.max(most, (now += line === "begins" ? 1 : -1));
  expect(lines).toHaveLength(40);
  expect(most).toBeLessThanOrEqual(4);
});

test("a repository's remote is told without the credentials in it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "connector-facts-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const git = (...args: string[]): void => void execFileSync("git", ["-C", folder, ...args]);
  git("init", "-q", "-b", "main");
  git("remote", "add", "origin", "https://me:a-secret@host.example/repo");
  expect(await reposIn([folder])).toMatchObject([{ remote: "https://host.example/repo", branch: "main" }]);
});
