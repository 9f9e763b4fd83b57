import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { startWorkerd } from "../../../../scripts/local/workerd/process.ts";

/** What is told of a start at which this shell script runs in the place of workerd. */
async function saidBy(script: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "operator-workerd-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const program = join(folder, "workerd");
  await writeFile(program, `#!/bin/sh\n${script}\n`);
  await chmod(program, 0o700);
  vi.stubEnv("OPERATOR_WORKERD", program);
  onTestFinished(() => void vi.unstubAllEnvs());
  const failure: unknown = await startWorkerd("test", { services: [], sockets: [] }, () => undefined).catch(
    (reason: unknown) => reason,
  );
  return String(failure);
}

/** What a workerd that Operator starts would find in `GLIBC_TUNABLES`. */
async function tunablesOfWorkerd(): Promise<string> {
  const said = await saidBy('echo "tunables=[$GLIBC_TUNABLES]" >&2\nexit 1');
  return /tunables=\[(.*)\]/.exec(said)?.[1] ?? `not said in: ${said}`;
}

test("workerd's allocator may use the caches for each CPU that glibc would keep from it", async () => {
  vi.stubEnv("GLIBC_TUNABLES", "");
  expect(await tunablesOfWorkerd()).toBe("glibc.pthread.rseq=0");
});

test("what Operator was started with for glibc stays, and wins", async () => {
  vi.stubEnv("GLIBC_TUNABLES", "glibc.pthread.rseq=1:glibc.malloc.check=3");
  expect(await tunablesOfWorkerd()).toBe("glibc.pthread.rseq=0:glibc.pthread.rseq=1:glibc.malloc.check=3");
});

test("a script that prints without end while it starts fills no memory with it", async () => {
  const said = await saidBy(
    "head -c 60000000 /dev/zero | tr '\\0' x | fold -w 200000 >&2\necho >&2\necho 'the last words' >&2\nexit 1",
  );
  expect(said).toMatch(/the last words$/);
  // A hundred messages of 128 KB at most, of the 60 MB that it printed in lines of 200 KB.
  expect(said.length).toBeLessThan(14_000_000);
});
