import { execFileSync, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createHash } from "node:crypto";
import { copyFileSync, fsyncSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { isMissing } from "../../../../scripts/system/is-missing.ts";
import { Random } from "../../../../scripts/system/random.ts";
import { bench, gate, NAMESPACE, temporaryFolder, upload } from "../support/harness.ts";

const UPLOADER = fileURLToPath(new URL("../support/uploader.ts", import.meta.url));

/** Large enough that a file system does not keep a module inside its own tables. */
const FILLER = `/* ${"x".repeat(20_000)} */`;

function source(version: number): string {
  return `export default { fetch: () => new Response("${version}") };${FILLER}`;
}

/** Kills, each at another moment. A round takes a second or two. */
const ROUNDS = 4;

/** Small, so that a copy of it takes milliseconds. */
const DISK_BYTES = 16 * 1024 * 1024;

/** File systems in a file need root, on Linux. */
function canMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  return spawnSync("losetup", ["--find"]).status === 0 && spawnSync("mkfs.ext4", ["-V"]).status === 0;
}

/**
 * A disk whose power can be cut: an ext4 file system in a file. The kernel keeps in memory what nobody has asked it to write, so a
 * copy of that file has what would be left. The options let names reach the disk before the content of their files.
 */
class Disk {
  readonly path: string;
  readonly #folder: string;
  readonly #image: string;
  readonly #other: number;
  #copies = 0;

  static async make(): Promise<Disk> {
    const folder = await mkdtemp("/dev/shm/operator-disk-");
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const image = join(folder, "image");
    execFileSync("truncate", ["--size", String(DISK_BYTES), image]);
    execFileSync("mkfs.ext4", ["-q", image]);
    return new Disk(folder, image);
  }

  private constructor(folder: string, image: string) {
    this.#folder = folder;
    this.#image = image;
    this.path = mount(image, join(folder, "mounted"));
    this.#other = openSync(join(this.path, "other"), "w");
    onTestFinished(() => void spawnSync("umount", [this.path]));
  }

  /** What would be on the disk if the power were cut now: the path of its image. */
  cut(): string {
    // Writes everything that the file system says about names and lengths, and no other file's content.
    fsyncSync(this.#other);
    const copy = join(this.#folder, `cut-${this.#copies++}`);
    // The kernel may be writing: two equal copies were not made in the middle of that.
    do copyFileSync(this.#image, copy);
    while (digestOf(copy) !== digestOf(this.#image));
    return copy;
  }
}

function digestOf(path: string): string {
  return createHash("sha1").update(readFileSync(path)).digest("hex");
}

function mount(image: string, at: string): string {
  mkdirSync(at);
  execFileSync("mount", ["-o", "loop,data=writeback,noauto_da_alloc,commit=300", image, at]);
  onTestFinished(() => void spawnSync("umount", ["--lazy", at]));
  return at;
}

/** What a platform that starts with this state answers for the script; `null` if there is none. */
async function answerWith(stateDir: string): Promise<string | null> {
  const { platform, reports } = await bench({ stateDir });
  try {
    expect(reports).toEqual([]);
    if (platform.directory.find(NAMESPACE, "attic") === null) return null;
    const { call } = await gate(platform);
    return await (await call("attic")).text();
  } finally {
    await platform.stop();
  }
}

/** Names and sizes of all files: when they change, something was written. Looks again when a folder is removed while it is read. */
function shapeOf(folder: string): string {
  for (;;)
    try {
      return readdirSync(folder, { recursive: true, withFileTypes: true })
        .map((one) => `${one.name} ${statSync(join(one.parentPath, one.name), { throwIfNoEntry: false })?.size}`)
        .join("\n");
    } catch (reason) {
      if (!isMissing(reason)) throw reason;
    }
}

test.skipIf(!canMount())(
  "a power cut at any moment of an upload leaves the old script or the new one, and after it the new one",
  async () => {
    const disk = await Disk.make();
    const stateDir = join(disk.path, "state");
    const { client, platform } = await bench({ stateDir });
    const cuts: { image: string; during: number; isOver: boolean }[] = [];
    for (const version of [1, 2]) {
      const progress = { isOver: false };
      const uploaded = upload(client, "attic", source(version)).finally(() => (progress.isOver = true));
      for (let shape = ""; !progress.isOver; await turn()) {
        const now = shapeOf(stateDir);
        if (now === shape) continue;
        shape = now;
        cuts.push({ image: disk.cut(), during: version, isOver: false });
      }
      await uploaded;
      cuts.push({ image: disk.cut(), during: version, isOver: true });
    }
    await platform.stop();
    expect(cuts.length).toBeGreaterThan(8);

    const folder = await temporaryFolder();
    const answers: string[] = [];
    for (const [index, { image, during, isOver }] of cuts.entries()) {
      const answer = await answerWith(join(mount(image, join(folder, String(index))), "state"));
      answers.push(`during ${during}${isOver ? ", after" : ""}: ${answer}`);
      const before = during === 1 ? null : String(during - 1);
      expect(isOver ? [String(during)] : [before, String(during)], answers.join("\n")).toContain(answer);
    }
  },
);

test("kill -9 of everything at random moments of uploads leaves the last script that was acknowledged, or the one after it", async () => {
  const stateDir = await mkdtemp(join(tmpdir(), "operator-killed-"));
  onTestFinished(() => rmSync(stateDir, { recursive: true, force: true }));
  const random = new Random(11, "kills");
  let acknowledged = 0;
  for (let round = 1; round <= ROUNDS; round += 1) {
    // A process group of its own, so that one signal ends all that it started.
    const child = fork(UPLOADER, [stateDir, String(acknowledged + 1)], { detached: true, stdio: "ignore" });
    child.on("message", (version: number) => (acknowledged = version));
    await once(child, "message");
    await sleep(random.integer(0, 400));
    // What it acknowledged last is heard before its channel closes, which can be after its end.
    const ended = [once(child, "exit"), once(child, "disconnect")];
    child.kill("SIGKILL");
    await Promise.all(ended);
    const answer = Number(await answerWith(stateDir));
    expect([acknowledged, acknowledged + 1]).toContain(answer);
    acknowledged = answer;
  }
});
