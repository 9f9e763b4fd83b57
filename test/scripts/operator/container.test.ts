import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { Ports } from "../../../scripts/system/ports.ts";

const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));
const DOCKERFILE = readFileSync(join(REPOSITORY, "Dockerfile"), "utf8");

/** Debian's `nobody`, as good an ordinary user as the image's `node`. */
const NOBODY = 65_534;

/** Mount namespaces and another user need root on Linux, and a repository that this user can read. */
function canPretend(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  const asNobody = [`--reuid=${NOBODY}`, "--clear-groups", "test", "-r", join(REPOSITORY, "package.json")];
  return (
    spawnSync("setpriv", asNobody, { stdio: "ignore" }).status === 0 &&
    spawnSync("unshare", ["--mount", "true"], { stdio: "ignore" }).status === 0
  );
}

/** The JSON of an instruction in the last stage. */
function exec(instruction: string): string[] {
  const [, json = ""] = new RegExp(`${instruction} (\\[.*\\])$`, "m").exec(DOCKERFILE) ?? [];
  return JSON.parse(json) as string[];
}

/** The variables of the last stage. */
function variables(): Record<string, string> {
  const line = DOCKERFILE.split("\n").findLast((one) => one.startsWith("ENV "));
  return Object.fromEntries(
    line
      ?.slice(4)
      .split(" ")
      .map((pair) => pair.split("=")) ?? [],
  ) as Record<string, string>;
}

/** Everything read-only but one folder and /dev/shm, then the command as an ordinary user who may never be more. */
const PRETEND = `
mount --make-rprivate /
mount --bind "$DATA" "$DATA"
mount -o remount,ro,bind /
exec setpriv --reuid=${NOBODY} --regid=${NOBODY} --clear-groups --no-new-privs --bounding-set=-all "$@"`;

/** Runs a command as the image would, with its variables. */
function run(folder: string, command: readonly string[], more: Record<string, string> = {}): ChildProcess {
  const data = join(folder, "data");
  const placed = Object.entries({ ...variables(), ...more }).map(([name, value]) => [
    name,
    value.replace("/data", data).replace("/app/.bundles", join(folder, "bundles")),
  ]);
  return spawn("unshare", ["--mount", "sh", "-euc", PRETEND, "sh", ...command], {
    cwd: REPOSITORY,
    env: { PATH: process.env["PATH"], DATA: data, ...Object.fromEntries(placed) },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

async function outputOf(child: ChildProcess): Promise<{ code: number | null; output: string }> {
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}

test.skipIf(!canPretend())(
  "what the image runs works without a writable root, as an ordinary user, is healthy, and ends on SIGTERM with all that it started",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "operator-container-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const data = join(folder, "data");
    mkdirSync(data, { mode: 0o700 });
    chownSync(data, NOBODY, NOBODY);
    execFileSync("chmod", ["755", folder]);
    execFileSync(process.execPath, ["scripts/local/bundle-workers.ts"], {
      cwd: REPOSITORY,
      env: { ...process.env, OPERATOR_BUNDLES: join(folder, "bundles") },
    });

    const port = await new Ports().take();
    const operator = run(folder, exec("ENTRYPOINT"), { OPERATOR_PORT: String(port) });
    const ended = outputOf(operator);
    onTestFinished(() => void operator.kill("SIGKILL"));
    await Promise.race([
      new Promise<void>((resolve) =>
        operator.stdout?.on("data", (chunk: Buffer) => chunk.includes("Operator is running") && resolve()),
      ),
      ended.then(({ output }) => Promise.reject(new Error(output))),
    ]);
    expect(statSync(data).mode & 0o777).toBe(0o700);
    expect(statSync(join(data, "secrets.json"))).toMatchObject({ uid: NOBODY });
    expect(readdirSync(data)).not.toContain("bundles");
    const health = exec("HEALTHCHECK .* CMD");
    expect(await outputOf(run(folder, health))).toMatchObject({ code: 0 });

    operator.kill("SIGTERM");
    expect((await ended).code).toBe(143);
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow("fetch failed");
    expect(await outputOf(run(folder, health))).toMatchObject({ code: 1 });
  },
);
