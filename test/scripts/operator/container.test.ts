import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { buildCodez } from "../../../scripts/build/codez.ts";
import { buildHost } from "../../../scripts/build/host.ts";
import { buildOperator } from "../../../scripts/build/operator.ts";
import { buildTemplate } from "../../../scripts/build/template.ts";
import { unusedPort } from "../../support/unused-port.ts";

const DOCKERFILE = readFileSync(fileURLToPath(new URL("../../../Dockerfile", import.meta.url)), "utf8");

/** The user `node` of Node's images. */
const NODE_USER = 1000;

/** Namespaces and a root of one's own need root, on Linux. */
function canPretend(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  return spawnSync("unshare", ["--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;
}

/** The JSON of an instruction in the last stage. */
function exec(instruction: string): string[] {
  const [, json = ""] = new RegExp(`^${instruction} (\\[.*\\])$`, "m").exec(DOCKERFILE) ?? [];
  return JSON.parse(json) as string[];
}

/** The variables of the last stage. */
function variables(): string[] {
  const line = DOCKERFILE.split("\n").findLast((one) => one.startsWith("ENV "));
  return line?.slice("ENV ".length).split(" ") ?? [];
}

/**
 * The image's file system, read-only: Debian as it is on this computer, Node and what npm installed in /usr/local, and two places
 * that can be written to, /data and /tmp. Then runs the command as the image's user, who cannot get more rights.
 */
const PRETEND = `
mount --make-rprivate /
mount --bind "$ROOT" "$ROOT"
cd "$ROOT"
mkdir -p usr etc proc dev tmp data
for link in bin lib lib64 sbin; do [ ! -L /$link ] || ln -s usr/$link $link; done
for place in usr etc; do mount --bind /$place $place; mount -o remount,ro,bind $place; done
mount --bind "$LOCAL" usr/local && mount -o remount,ro,bind usr/local
mount --bind "$DATA" data
mount -t tmpfs tmpfs tmp
mount --rbind /dev dev
mount -t proc proc proc
mount -o remount,ro,bind "$ROOT"
exec chroot "$ROOT" /usr/bin/env -i -C /data PATH=/usr/local/bin:/usr/bin:/bin "$@"`;

const AS_USER = [
  "setpriv",
  `--reuid=${NODE_USER}`,
  `--regid=${NODE_USER}`,
  "--clear-groups",
  "--no-new-privs",
  "--bounding-set=-all",
];

/** Starts the image's program as its first process, as a container engine does. */
function start(folder: string, more: readonly string[]): ChildProcess {
  const place = { ROOT: join(folder, "root"), LOCAL: join(folder, "local"), DATA: join(folder, "data") };
  mkdirSync(place.ROOT);
  const command = [...variables(), ...more, ...AS_USER, ...exec("ENTRYPOINT")];
  return spawn("unshare", ["--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", PRETEND, "sh", ...command], {
    env: { PATH: process.env["PATH"], ...place },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** The process with the id 1 in the container. */
function firstOf(container: ChildProcess): number {
  const children = readFileSync(`/proc/${container.pid}/task/${container.pid}/children`, "utf8");
  return Number(children.trim().split(" ")[0]);
}

/** Runs a command in a container that runs, as its health check is run. */
async function runIn(container: ChildProcess, command: readonly string[]): Promise<Ended> {
  const inside = ["--target", String(firstOf(container)), "--mount", "--pid", "--root", "--wd", "/usr/bin/env", "-i"];
  const all = [...inside, "PATH=/usr/local/bin:/usr/bin:/bin", ...variables(), ...AS_USER, ...command];
  return outputOf(spawn("nsenter", all, { stdio: ["ignore", "pipe", "pipe"] }));
}

type Ended = { code: number | null; output: string };

async function outputOf(child: ChildProcess): Promise<Ended> {
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}

test.skipIf(!canPretend())(
  "the image's program works as first process and ordinary user with a read-only root, is healthy, and ends on SIGTERM with all its processes",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "operator-container-"));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    chmodSync(folder, 0o755);
    const data = join(folder, "data");
    mkdirSync(data, { mode: 0o700 });
    chownSync(data, NODE_USER, NODE_USER);
    // The image's /usr/local: Node's own, and what the Dockerfile installs.
    const bin = join(folder, "local/bin");
    mkdirSync(bin, { recursive: true });
    copyFileSync(process.execPath, join(bin, "node"));
    await Promise.all([buildCodez(), buildTemplate(), buildHost()]);
    const install = ["install", "--global", "--prefix", join(folder, "local"), "--no-audit", "--no-fund"];
    execFileSync("npm", [...install, "--prefer-offline", await buildOperator()], {
      env: { ...process.env, PATH: [dirname(process.execPath), process.env["PATH"]].join(delimiter) },
      stdio: "pipe",
    });

    const port = await unusedPort();
    const container = start(folder, [`OPERATOR_PORT=${port}`]);
    const ended = outputOf(container);
    onTestFinished(() => void container.kill("SIGKILL"));
    await Promise.race([
      new Promise<void>((resolve) =>
        container.stdout?.on("data", (chunk: Buffer) => chunk.includes("Operator is running") && resolve()),
      ),
      ended.then(({ output }) => Promise.reject(new Error(output))),
    ]);
    expect(statSync(data).mode & 0o777).toBe(0o700);
    expect(statSync(join(data, "secrets.json"))).toMatchObject({ uid: NODE_USER });
    // Nothing is built again at the start, not even bundles.
    expect(readdirSync(data)).not.toContain("bundles");
    expect(await runIn(container, exec("HEALTHCHECK .* CMD"))).toEqual({
      code: 0,
      output: expect.stringContaining("Operator runs at"),
    });
    const places = await runIn(container, ["sh", "-c", "touch /x; touch /usr/local/x; touch /tmp/x /data/x && id -u"]);
    expect(places.output).toMatch(/cannot touch '\/x'.*cannot touch '\/usr\/local\/x'/s);
    expect(places).toEqual({ code: 0, output: expect.stringMatching(/^1000$/m) });

    process.kill(firstOf(container), "SIGTERM");
    expect((await ended).code).toBe(143);
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow("fetch failed");
  },
);
