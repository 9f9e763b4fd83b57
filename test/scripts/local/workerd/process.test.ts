import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { startWorkerd } from "../../../../scripts/local/workerd/process.ts";

/** What a workerd that Operator starts would find in `GLIBC_TUNABLES`. In its place runs a program that says so, and ends. */
async function tunablesOfWorkerd(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "operator-workerd-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const program = join(folder, "workerd");
  await writeFile(program, '#!/bin/sh\necho "tunables=[$GLIBC_TUNABLES]" >&2\nexit 1\n');
  await chmod(program, 0o700);
  vi.stubEnv("OPERATOR_WORKERD", program);
  onTestFinished(() => void vi.unstubAllEnvs());
  const failure: unknown = await startWorkerd("test", { services: [], sockets: [] }, () => undefined).catch(
    (reason: unknown) => reason,
  );
  return /tunables=\[(.*)\]/.exec(String(failure))?.[1] ?? `not said in: ${String(failure)}`;
}

test("workerd's allocator may use the caches for each CPU that glibc would keep from it", async () => {
  vi.stubEnv("GLIBC_TUNABLES", "");
  expect(await tunablesOfWorkerd()).toBe("glibc.pthread.rseq=0");
});

test("what Operator was started with for glibc stays, and wins", async () => {
  vi.stubEnv("GLIBC_TUNABLES", "glibc.pthread.rseq=1:glibc.malloc.check=3");
  expect(await tunablesOfWorkerd()).toBe("glibc.pthread.rseq=0:glibc.pthread.rseq=1:glibc.malloc.check=3");
});
