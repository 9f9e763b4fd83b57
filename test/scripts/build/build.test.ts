import { execFile } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzipSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { buildCodez } from "../../../scripts/build/codez.ts";
import { CONTROL_BUILD, REPOSITORY } from "../../../scripts/build/repository.ts";
import { buildTemplate } from "../../../scripts/build/template.ts";
import { tarball } from "../../../scripts/build/tarball.ts";
import { isUnchanged, stamp } from "../../../scripts/build/unchanged.ts";
import { HttpServer } from "../connector/support/http-server.ts";
import { temporaryFolder } from "../connector/support/temporary-folder.ts";

const BUILT_IN: ReadonlySet<string> = new Set(builtinModules);
const run = promisify(execFile);
const TARBALL = `${CONTROL_BUILD}/codez.tgz`;
const { version } = JSON.parse(readFileSync(`${REPOSITORY}package.json`, "utf8"));

describe("the machine template", () => {
  beforeAll(() => buildTemplate());

  it("stays small, because each machine's process loads it and each upload carries it", () => {
    // 72 KB in release 0.3.0. A package that doubles this must be worth it for each of a thousand machines.
    expect(statSync(`${CONTROL_BUILD}/machine.js.txt`).size).toBeLessThan(140_000);
  });
});

describe("codez.tgz", () => {
  beforeAll(() => buildCodez());

  it("is a package that npm installs from any web server, and that runs without anything else", async () => {
    using folder = temporaryFolder();
    await using server = await HttpServer.start((request, response) => {
      if (request.url !== "/codez.tgz") return void response.writeHead(404).end();
      response.end(readFileSync(TARBALL));
    });
    const env = {
      ...process.env,
      npm_config_cache: join(folder.path, "cache"),
      npm_config_update_notifier: "false",
      // The server has only the tarball.
      npm_config_registry: server.url.origin,
      CODEZ_HOME: folder.path,
    };
    const { stdout } = await run("npx", ["-y", `${server.url.origin}/codez.tgz`, "--version"], {
      cwd: folder.path,
      env,
    });
    await run("tar", ["xzf", TARBALL, "-C", folder.path]);
    const manifest = JSON.parse(readFileSync(join(folder.path, "package/package.json"), "utf8"));
    expect(stdout.trim()).toBe(manifest.version);
    expect(server.requests.map(({ url }) => url).filter((url) => url !== "/codez.tgz")).toEqual([]);
  });

  it("contains the full licence texts of everything in it", async () => {
    using folder = temporaryFolder();
    await run("tar", ["xzf", TARBALL, "-C", folder.path]);
    const notices = readFileSync(join(folder.path, "package/THIRD-PARTY-NOTICES"), "utf8");
    const code = readFileSync(join(folder.path, "package/build/codez.js"), "utf8");
    // esbuild marks where each bundled file came from.
    const files = [...code.matchAll(/^ *\/\/ (?:.*\/)?node_modules\/((?:@[^/\n]+\/)?[^/\n]+)\//gm)];
    const packages = new Set(files.map(([, name]) => name ?? ""));
    expect(packages.size).toBeGreaterThan(10);
    for (const name of packages) {
      const [, notice = ""] = notices.split(`\n${name} `);
      expect(notice, name).toMatch(/^\d+\.\d+\.\d+\S* \([^)]+\)\n/);
      expect(notice, name).toMatch(/Permission|Apache License|copyright/i);
    }
  });

  it("has one program, no dependencies, and its licences", async () => {
    using folder = temporaryFolder();
    await run("tar", ["xzf", TARBALL, "-C", folder.path]);
    const manifest = JSON.parse(readFileSync(join(folder.path, "package/package.json"), "utf8"));
    expect(manifest).toMatchObject({
      name: "codez",
      bin: { codez: "bin.js" },
      engines: { node: ">=20" },
      type: "module",
    });
    expect(manifest.version.replace(/-[0-9a-f]{8}$/, "-build")).toBe(`${version}-build`);
    expect(manifest.dependencies).toBeUndefined();
    expect(statSync(join(folder.path, "package/bin.js")).mode & 0o111).not.toBe(0);
    const code = readFileSync(join(folder.path, "package/build/codez.js"), "utf8");
    const imported = [...code.matchAll(/^import .*? from "([^"]+)";$/gm)].map(([, name]) => name ?? "");
    expect(imported.filter((name) => !name.startsWith("node:") && !BUILT_IN.has(name))).toEqual([]);
    expect(code).not.toContain('require("bufferutil")'); // it brings its own
    expect(readFileSync(join(folder.path, "package/LICENSE"), "utf8")).toContain("MIT");
  });

  it("is byte for byte the same when it is built again from the same sources", async () => {
    using folder = temporaryFolder();
    const output = outputIn(folder.path);
    await buildCodez(output);
    expect(readFileSync(output.tarball).equals(readFileSync(TARBALL))).toBe(true);
  });

  it("is not built again when nothing has changed", async () => {
    using folder = temporaryFolder();
    const output = outputIn(folder.path);
    await buildCodez(output);
    const before = statSync(output.tarball).mtimeMs;
    await buildCodez(output);
    expect(statSync(output.tarball).mtimeMs).toBe(before);
  });
});

/** Nobody else's: other files' tests build and use the real one at the same time. */
function outputIn(folder: string): { stamp: string; bundle: string; tarball: string } {
  return { stamp: join(folder, "inputs.json"), bundle: join(folder, "codez.js"), tarball: join(folder, "codez.tgz") };
}

describe("a stamp", () => {
  it("notices a changed input, a changed output, and a missing one", async () => {
    using folder = temporaryFolder();
    const [input, output, path] = ["in", "out", "stamp"].map((name) => join(folder.path, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(input, "1");
    writeFileSync(output, "1");
    expect(await isUnchanged(path)).toBe(false);
    await stamp(path, [input], [output]);
    expect(await isUnchanged(path)).toBe(true);
    for (const file of [input, output]) {
      writeFileSync(file, "2");
      expect(await isUnchanged(path)).toBe(false);
      writeFileSync(file, "1");
      expect(await isUnchanged(path)).toBe(true);
    }
    await stamp(path, [input, join(folder.path, "missing")], [output]);
    expect(await isUnchanged(path)).toBe(true);
    writeFileSync(join(folder.path, "missing"), "");
    expect(await isUnchanged(path)).toBe(false);
  });
});

it("a tar archive contains its files unchanged, whatever their length", async () => {
  using folder = temporaryFolder();
  const files = [0, 1, 511, 512, 513, 5_000].map((bytes) => ({
    path: `package/${bytes}`,
    mode: 0o644,
    content: Buffer.alloc(bytes, "x"),
  }));
  const archive = tarball(files);
  expect(archive.length % 512).toBe(0);
  writeFileSync(join(folder.path, "a.tar"), archive);
  await run("tar", ["xf", join(folder.path, "a.tar"), "-C", folder.path]);
  for (const { path, content } of files) expect(readFileSync(join(folder.path, path)).equals(content)).toBe(true);
  expect(() => tarball([{ path: "x".repeat(101), mode: 0o644, content: Buffer.alloc(0) }])).toThrow("100 bytes");
  expect(gunzipSync(readFileSync(TARBALL)).length % 512).toBe(0);
});
