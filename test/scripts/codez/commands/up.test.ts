import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { buildCodez } from "../../../../scripts/build/codez.ts";
import { CONTROL_BUILD } from "../../../../scripts/build/repository.ts";
import { tarball } from "../../../../scripts/build/tarball.ts";
import { ExitCode } from "../../../../scripts/codez/exit-code.ts";
import { unpack } from "../../../../scripts/codez/install/unpack.ts";
import { temporaryFolder } from "../../connector/support/temporary-folder.ts";
import { Codez, type Ended } from "./support/codez.ts";
import { HubStandIn } from "./support/hub-stand-in.ts";

let shipped: Buffer;
let version: string;

beforeAll(async () => {
  await buildCodez();
  shipped = readFileSync(`${CONTROL_BUILD}/codez.tgz`);
  version = JSON.parse(unpack(shipped).get("package/package.json")?.toString() ?? "").version;
});

/** A computer that has Node and Claude Code, and on it a codez that npx fetched from that Operator. */
class NewComputer implements Disposable {
  readonly #folder = temporaryFolder();
  readonly home = this.#folder.path;
  readonly codezHome = join(this.home, ".codez");
  readonly #fetched: string;

  constructor(hub: HubStandIn) {
    const cache = join(this.home, "npm", "_npx", "0f3a");
    this.#fetched = join(cache, "node_modules", "codez", "bin.js");
    for (const [name, content] of unpack(shipped)) {
      const path = join(cache, "node_modules", "codez", name.slice("package/".length));
      mkdirSync(join(path, ".."), { recursive: true });
      writeFileSync(path, content);
    }
    writeFileSync(join(cache, "package.json"), JSON.stringify({ _npx: { packages: [`${hub.origin}/codez.tgz`] } }));
    mkdirSync(this.codezHome);
    // Any port: another test may use the usual one. Claude Code is not on the PATH.
    const claude = join(this.home, "elsewhere", "claude");
    writeFileSync(join(this.codezHome, "serve.json"), JSON.stringify({ port: 0, claude }));
    mkdirSync(join(this.home, "bin"));
    mkdirSync(join(this.home, "elsewhere"));
    writeFileSync(claude, "#!/bin/sh\necho '2.1.329 (Claude Code)'\n", { mode: 0o755 });
  }

  npx(...args: string[]): Codez {
    return new Codez(this.codezHome, args, this.#env, this.#fetched);
  }

  /** Runs the `codez` that a person gets in a terminal. */
  async codez(...args: string[]): Promise<Ended> {
    // The launcher is a shell script: the PATH finds it, and it finds Node.
    const bin = join(this.home, "run.js");
    const spawned = 'require("node:child_process").spawn("codez", process.argv.slice(2), { stdio: "inherit" })';
    writeFileSync(bin, `${spawned}.on("close", (code) => process.exit(code));\n`);
    return await new Codez(this.codezHome, args, this.#env, bin).ended();
  }

  get #env(): Record<string, string> {
    const PATH = `${join(this.home, "bin")}:${process.env["PATH"]}`;
    return { HOME: this.home, PATH, CLAUDE_CONFIG_DIR: join(this.home, ".claude") };
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

/** Serves this build: the shipped one, unless it is changed. */
function serve(hub: HubStandIn, change: (code: string) => string = (code) => code): void {
  const files = [...unpack(shipped)].map(([path, content]) => ({
    path,
    mode: 0o644,
    content: path.endsWith("LICENSE") ? content : Buffer.from(change(content.toString("utf8"))),
  }));
  const content = gzipSync(tarball(files));
  hub.tarball = { content, sha256: createHash("sha256").update(content).digest("hex") };
}

describe("codez up on a new computer, by npx", () => {
  it("adds the machine, installs itself, serves Claude Code, and proves by a call that it can be reached", async () => {
    await using hub = await HubStandIn.start();
    using computer = new NewComputer(hub);
    {
      await using up = computer.npx("up", "attic", "--no-service");
      await up.says("proven: a call through");
      expect(up.out).toContain('"attic" is online at');
      expect(up.out).toContain("serving the sessions of Claude Code 2.1.329");
      expect(up.out).toContain(`installed           ${join(computer.codezHome, "bin", "codez")}`);
      expect(up.out).toContain("permission requests: as ");
      expect(hub.called).toContain("list_tools");
    }
    expect((await computer.codez("--version")).out.trim()).toBe(version);
    expect(statSync(join(computer.codezHome, "bin")).mode & 0o777).toBe(0o700);
    expect(existsSync(join(computer.codezHome, "bin", "LICENSE"))).toBe(true);
    // The hints of the installed one are typed as it is found.
    expect((await computer.codez("status")).out).toContain("not running on this computer: codez connect");

    // Again, it adds nothing, asks nothing, and proves what can be proven without a sign-in.
    hub.bearer = "opr_1";
    await using again = computer.npx("up");
    await again.says("proven: " + hub.origin + ' sees "attic" online');
    expect(hub.machines.size).toBe(1);
  });

  it("exits with 4 and says what to run if nobody can sign in", async () => {
    await using hub = await HubStandIn.start();
    hub.bearer = "opr_1";
    using computer = new NewComputer(hub);
    const { code, err } = await computer.npx("up", "attic").ended();
    expect([code, err]).toEqual([ExitCode.NOT_SIGNED_IN, expect.stringContaining(`login --admin --hub ${hub.origin}`)]);
  });
});

describe("an installed codez", () => {
  async function installed(hub: HubStandIn): Promise<NewComputer> {
    const computer = new NewComputer(hub);
    await using up = computer.npx("up", "attic", "--no-service");
    await up.says("proven: ");
    return computer;
  }

  it("is replaced once by the one that its Operator serves", async () => {
    await using hub = await HubStandIn.start();
    using computer = await installed(hub);
    serve(hub);
    expect((await computer.codez("upgrade")).out).toContain(`codez ${version} is the one that ${hub.origin} serves`);
    serve(hub, (code) => code.replaceAll(version, "9.9.9-newer"));
    const upgraded = await computer.codez("upgrade");
    expect([upgraded.code, upgraded.out]).toEqual([
      0,
      expect.stringContaining(`codez ${version} is replaced by 9.9.9-newer`),
    ]);
    expect((await computer.codez("--version")).out).toBe("9.9.9-newer\n");
    expect(readdirSync(computer.codezHome).filter((name) => name.startsWith("bin"))).toEqual(["bin"]);
  });

  it("stays unchanged if the new one has another SHA-256, does not run, or is invalid", async () => {
    await using hub = await HubStandIn.start();
    using computer = await installed(hub);
    serve(hub, (code) => code.replaceAll(version, "9.9.9-newer"));
    if (hub.tarball !== null) hub.tarball = { ...hub.tarball, sha256: "0".repeat(64) };
    const forged = await computer.codez("upgrade");
    expect([forged.code, forged.err]).toEqual([ExitCode.HUB_UNREACHABLE, expect.stringContaining("SHA-256")]);
    serve(hub, (code) => (code.startsWith("{") ? code.replace(version, "9.9.9-newer") : "process.exit(3)"));
    const broken = await computer.codez("upgrade");
    expect([broken.code, broken.err]).toEqual([ExitCode.REFUSED, expect.stringContaining("installed one stays")]);
    const content = gunzipSync(shipped).subarray(0, 2_048);
    const cut = gzipSync(content);
    hub.tarball = { content: cut, sha256: createHash("sha256").update(cut).digest("hex") };
    expect((await computer.codez("upgrade")).code).toBe(ExitCode.HUB_UNREACHABLE);
    expect((await computer.codez("--version")).out.trim()).toBe(version);
  });

  it("is removed after a question, with everything that it lists, if nothing uses it", async () => {
    await using hub = await HubStandIn.start();
    using computer = await installed(hub);
    const asked = await computer.codez("uninstall");
    expect([asked.code, asked.err]).toEqual([ExitCode.NOT_SIGNED_IN, expect.stringContaining("codez uninstall --yes")]);
    {
      await using running = computer.npx("connect");
      await running.says("online");
      const busy = await computer.codez("uninstall", "--yes");
      expect([busy.code, busy.err]).toEqual([
        ExitCode.ALREADY_CONNECTED,
        expect.stringContaining(`${running.process.pid}`),
      ]);
    }
    const kept = await computer.codez("uninstall", "--yes", "--keep-profiles");
    expect([kept.code, kept.out]).toEqual([0, expect.stringContaining(`Left in ${computer.codezHome}: `)]);
    expect(existsSync(join(computer.codezHome, "machines", "attic.json"))).toBe(true);
    expect(readdirSync(join(computer.home, "bin"))).toEqual([]);
    const { out } = await computer.npx("uninstall", "--yes").ended();
    expect(out).toContain(`"attic" is still in the list of machines at ${hub.origin}`);
    expect(existsSync(computer.codezHome)).toBe(false);
  });
});

it("codez upgrade reports that there is nothing to upgrade if nothing is installed", async () => {
  await using hub = await HubStandIn.start();
  using computer = new NewComputer(hub);
  const { code, err } = await computer.npx("upgrade").ended();
  expect([code, err]).toEqual([ExitCode.NOT_SET_UP, expect.stringContaining("codez.tgz up")]);
});

it("the launcher finds another Node when the installing one is gone", async () => {
  await using hub = await HubStandIn.start();
  using computer = new NewComputer(hub);
  {
    await using up = computer.npx("up", "attic", "--no-service");
    await up.says("proven: ");
  }
  const launcher = join(computer.codezHome, "bin", "codez");
  writeFileSync(launcher, readFileSync(launcher, "utf8").replace(process.execPath, "/gone/node"));
  expect(execFileSync(launcher, ["--version"]).toString().trim()).toBe(version);
});
