import { createHash } from "node:crypto";
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildCodez } from "../../../scripts/build/codez.ts";
import { buildHost } from "../../../scripts/build/host.ts";
import { buildOperator } from "../../../scripts/build/operator.ts";
import { buildTemplate } from "../../../scripts/build/template.ts";
import { refusedLicences } from "../../../scripts/dependencies/licence-policy.ts";
import { unusedPort } from "../../support/unused-port.ts";
import { temporaryFolder } from "../connector/support/temporary-folder.ts";

const SERVER = fileURLToPath(new URL("../connector/stdio/support/raw-server.ts", import.meta.url));

/** As a bill of materials states it. */
type Licence = { license: { id: string } } | { expression: string };

type Ended = { code: number; output: string };

/** Stops the Operator that runs with the home folder's state, and waits until it has ended. */
const KILL =
  `p=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/' "$HOME/.operator/lock.json") && kill $p && ` +
  `while kill -0 $p 2>/dev/null; do sleep 0.05; done`;

/** Authorities that this computer trusts besides Node's own, such as that of a proxy between it and the registry. */
function extraAuthorities(): Record<string, string> {
  const { NODE_EXTRA_CA_CERTS: file } = process.env;
  return file === undefined ? {} : { NODE_EXTRA_CA_CERTS: file };
}

/** A computer without a clone: an empty folder into which npm installs the tarball, and a home that nobody has used. */
describe("operator.tgz", () => {
  const folder = temporaryFolder();
  const home = join(folder.path, "home");
  const program = join(folder.path, "node_modules/.bin/operator");
  const unpacked = join(folder.path, "node_modules/operator");
  const env = {
    PATH: [dirname(process.execPath), process.env["PATH"]].join(delimiter),
    HOME: home,
    npm_config_cache: process.env["npm_config_cache"] ?? join(process.env["HOME"] ?? "", ".npm"),
    // What is not in the cache comes from a registry, which may be another one than npm's, with a certificate of its own.
    npm_config_userconfig: process.env["npm_config_userconfig"] ?? join(process.env["HOME"] ?? "", ".npmrc"),
    ...extraAuthorities(),
    npm_config_update_notifier: "false",
  };
  let tarball: string;
  let port: number;

  beforeAll(async () => {
    await Promise.all([buildCodez(), buildTemplate(), buildHost()]);
    tarball = await buildOperator();
    mkdirSync(home);
    writeFileSync(join(folder.path, "package.json"), "{}");
    const { code, output } = await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", tarball]);
    expect(output).not.toContain("npm error");
    expect(code).toBe(0);
    port = await unusedPort();
  });

  afterAll(async () => {
    await run("sh", ["-c", KILL]);
    folder[Symbol.dispose]();
  });

  function run(command: string, args: readonly string[], more: Record<string, string> = {}): Promise<Ended> {
    return new Promise((resolve) => {
      execFile(command, args, { cwd: folder.path, env: { ...env, ...more } }, (error, out, err) =>
        resolve({ code: error === null ? 0 : Number(error.code), output: out + err }),
      );
    });
  }

  /** Starts a program that goes on, and resolves once it has said something. */
  async function start(command: string, args: readonly string[], pattern: RegExp): Promise<AsyncDisposable> {
    const child = spawn(command, args, { cwd: folder.path, env, stdio: ["ignore", "pipe", "pipe"] });
    const ended = once(child, "exit");
    let output = "";
    await new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (text: string) => pattern.test((output += text)) && resolve());
      child.once("exit", () => reject(new Error(output)));
    });
    return {
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGTERM");
        await ended;
      },
    };
  }

  it("has one program, its licences and a digest, and depends on workerd alone", async () => {
    const manifest = JSON.parse(readFileSync(join(unpacked, "package.json"), "utf8"));
    expect(manifest).toMatchObject({ name: "operator", bin: { operator: "bin.js" }, engines: { node: ">=24" } });
    expect(Object.keys(manifest.dependencies)).toEqual(["workerd"]);
    const packages = readdirSync(join(folder.path, "node_modules")).filter((name) => !name.startsWith("."));
    expect(packages.toSorted()).toEqual(["@cloudflare", "operator", "workerd"]);

    const code = readFileSync(join(unpacked, "build/operator.js"), "utf8");
    const imported = [...code.matchAll(/^import .*? from "([^"]+)";$/gm)].map(([, name]) => name ?? "");
    expect(imported.filter((name) => !name.startsWith("node:") && !builtinModules.includes(name))).toEqual([]);

    expect(readFileSync(join(unpacked, "LICENSE"), "utf8")).toContain("MIT");
    const notices = readFileSync(join(unpacked, "THIRD-PARTY-NOTICES"), "utf8");
    const bill = JSON.parse(readFileSync(join(unpacked, "sbom.cdx.json"), "utf8"));
    const shipped: { name: string; version: string; licenses: Licence[] }[] = bill.components;
    // The licences of the program, its Workers, and the KV simulation.
    expect(shipped.map(({ name }) => name)).toEqual(expect.arrayContaining(["acme-client", "agents", "miniflare"]));
    for (const { name, version } of shipped) expect(notices).toContain(`\n${name} ${version} (`);
    const licences = shipped.map(({ name, version, licenses: [first] }) => ({
      name,
      version,
      license: first === undefined ? null : "expression" in first ? first.expression : first.license.id,
      folder: "",
      integrity: null,
      isDev: false,
    }));
    expect(refusedLicences(licences, "shipped")).toEqual([]);

    const digest = createHash("sha256").update(readFileSync(tarball)).digest("hex");
    expect(readFileSync(`${tarball}.sha256`, "utf8")).toBe(`${digest}  operator.tgz\n`);
  });

  it("is byte for byte the same when it is built again from the same sources", async () => {
    const before = readFileSync(tarball);
    await buildOperator();
    expect(readFileSync(tarball).equals(before)).toBe(true);
  });

  it("starts an Operator, adds a machine with the line that it prints, and relays a call to it", async () => {
    await start(program, ["start", "--port", String(port)], /Operator is running/);
    const status = await run(program, ["status"]);
    expect(status).toEqual({ code: 0, output: expect.stringContaining(`Operator runs at http://127.0.0.1:${port}`) });
    // The aim for everything but the machines is 150 MB. Some megabytes of workerd's own file come and go.
    const [front = 0, gate = 0] = (/front (\d+) MB, gate (\d+) MB/.exec(status.output) ?? []).slice(1).map(Number);
    if (process.platform === "linux") expect(front).toBeGreaterThan(20);
    expect(front + gate).toBeLessThan(155);
    const origin = `http://127.0.0.1:${port}`;
    const setup = ["-y", `${origin}/codez.tgz`, "setup", "attic", "--", process.execPath, SERVER];
    expect(await run("npx", setup)).toEqual({ code: 0, output: expect.stringContaining('"attic" is online') });
    await using _connector = await start("npx", ["-y", `${origin}/codez.tgz`, "connect", "attic"], /online: "attic"/);

    const answer = await fetch(`${origin}/mcp`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${readFileSync(join(home, `.codez/operators/127.0.0.1-${port}.token`), "utf8").trim()}`,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
        "mcp-protocol-version": "2025-11-25",
      },
      body: JSON.stringify({
        jsonrpc: "2.0",
        id: 1,
        method: "tools/call",
        params: { name: "list_tools", arguments: { machineId: "attic" } },
      }),
    });
    expect(await answer.json()).toMatchObject({ result: { structuredContent: { tools: [] } } });
  });

  it("upgrades to the next release, and notices when the restart brings back the old one", async () => {
    // The next release: the same program, with another number.
    const next = join(folder.path, "next");
    cpSync(unpacked, join(next, "node_modules/operator"), { recursive: true });
    for (const name of ["workerd", "@cloudflare"])
      symlinkSync(join(folder.path, "node_modules", name), join(next, "node_modules", name));
    const manifest = join(next, "node_modules/operator/package.json");
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/"version": "[^"]+"/, '"version": "99.0.0"'));
    const newProgram = join(next, "node_modules/operator/bin.js");
    const state = join(home, ".operator");
    const upgrade = (restart: string): Promise<Ended> =>
      run(process.execPath, [newProgram, "upgrade", "--restart", restart]);

    const restartWith = (one: string): string =>
      `${KILL}; ${process.execPath} ${one} start --port ${port} >/dev/null 2>&1 &`;
    const wrong = await upgrade(restartWith(join(unpacked, "bin.js")));
    expect(wrong).toEqual({ code: 1, output: expect.stringMatching(/started \S+ again, not 99\.0\.0/) });
    const right = await upgrade(restartWith(newProgram));
    expect(right.output).toContain("99.0.0 opens it, with 1 machines.");
    expect(right.output).toContain(`Operator runs at http://127.0.0.1:${port}`);
    expect(right.code).toBe(0);
    expect(readdirSync(join(state, "backups"))).toContain("before-99.0.0");
  });

  it("keeps its state in the home folder, and tells an old Node what it needs", async () => {
    expect(readdirSync(join(home, ".operator"))).toContain("secrets.json");
    expect(readdirSync(unpacked)).not.toContain(".operator");
    const bin = readFileSync(join(unpacked, "bin.js"), "utf8").replace("process.versions.node.split", '"20.1.0".split');
    writeFileSync(join(unpacked, "old.js"), bin);
    const { code, output } = await run(process.execPath, [join(unpacked, "old.js"), "status"]);
    expect([code, output]).toEqual([2, expect.stringContaining("operator needs Node 24 or newer")]);
  });
});
