import { link, mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { finishRotation, hasSecrets, readSecrets } from "../../../scripts/deploy/secrets.ts";

let folder: string;
const file = (): string => join(folder, "deploy/operator.example.com.json");

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "operator-secrets-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("secrets are created once, and only their owner can read them", async () => {
  expect(await hasSecrets(file())).toBe(false);
  const made = await readSecrets(file(), false);
  expect(await readSecrets(file(), false)).toEqual(made);
  expect(await hasSecrets(file())).toBe(true);
  expect((await stat(file())).mode & 0o777).toBe(0o600);
});

test("a rotation keeps the previous secret as the second one", async () => {
  const { DISPATCH_SECRET: former } = await readSecrets(file(), false);
  const rotated = await readSecrets(file(), true);
  expect(rotated.DISPATCH_SECRET_PREVIOUS).toBe(former);
  expect(rotated.DISPATCH_SECRET).not.toBe(former);
});

test("the file is replaced as a whole, so that a crash while it is written loses no secret", async () => {
  const made = await readSecrets(file(), false);
  const former = join(folder, "former.json");
  await link(file(), former);
  await readSecrets(file(), true);
  expect(await readSecrets(former, false)).toEqual(made);
});

test("a rotation that failed in the middle is continued, and the secret that the Workers have is never dropped", async () => {
  const { DISPATCH_SECRET: deployed } = await readSecrets(file(), false);
  const first = await readSecrets(file(), true);
  expect(await readSecrets(file(), true)).toEqual(first);
  expect(await readSecrets(file(), false)).toEqual(first);
  expect(first.DISPATCH_SECRET_PREVIOUS).toBe(deployed);
  await finishRotation(file());
  const next = await readSecrets(file(), true);
  expect(next.DISPATCH_SECRET_PREVIOUS).toBe(first.DISPATCH_SECRET);
});
