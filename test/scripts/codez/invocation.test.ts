import { mkdir, mkdtemp, realpath, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { rm } from "node:fs/promises";
import { asTyped, commandOf, tarballOf } from "../../../scripts/codez/invocation.ts";

const TARBALL = "https://operator.example.com/codez.tgz";

/** A codez as `npx` leaves it in its cache; answers the program that it starts. */
async function installed(packages: unknown): Promise<string> {
  const cache = await mkdtemp(join(tmpdir(), "codez-npx-"));
  onTestFinished(() => rm(cache, { recursive: true }));
  const root = join(cache, "_npx", "0f3a");
  await mkdir(join(root, "node_modules", "codez"), { recursive: true });
  await mkdir(join(root, "node_modules", ".bin"));
  await writeFile(join(root, "node_modules", "codez", "bin.js"), "");
  await symlink("../codez/bin.js", join(root, "node_modules", ".bin", "codez"));
  await writeFile(join(root, "package.json"), JSON.stringify({ _npx: { packages } }));
  return join(root, "node_modules", ".bin", "codez");
}

describe("a codez that npx fetched from an Operator", () => {
  test("knows the Operator's address", async () => {
    const script = await installed([TARBALL]);
    expect(tarballOf(script)).toBe(TARBALL);
    expect(commandOf(script, { npm_command: "exec" })).toBe(`npx -y ${TARBALL}`);
  });

  test.each([[["codez@1"]], [["file:///tmp/codez.tgz"]], [["https://operator.example.com/other.tgz"]], [[]], ["x"]])(
    "does not mistake %j for an Operator's tarball",
    async (packages) => {
      expect(tarballOf(await installed(packages))).toBeNull();
    },
  );

  test("has no such address if it comes from a clone, or is gone", () => {
    expect(tarballOf(new URL(import.meta.url).pathname)).toBeNull();
    expect(tarballOf("/nowhere/_npx/1/codez")).toBeNull();
    expect(tarballOf(undefined)).toBeNull();
  });
});

test("the command for an installed codez is its name if the PATH finds it, and otherwise its path", async () => {
  const home = await realpath(await mkdtemp(join(tmpdir(), "codez-home-")));
  onTestFinished(() => rm(home, { recursive: true }));
  const folder = join(home, "bin");
  const personal = join(home, "personal");
  for (const path of [folder, personal]) await mkdir(path);
  for (const file of ["codez.js", "codez"]) await writeFile(join(folder, file), "");
  const script = join(folder, "codez.js");
  const launcher = join(folder, "codez");
  expect(commandOf(script, { PATH: "/usr/bin" })).toBe(launcher);
  expect(commandOf(script, { PATH: `/usr/bin:${folder}`, npm_command: "exec" })).toBe("codez");
  await symlink(launcher, join(personal, "codez"));
  expect(commandOf(script, { PATH: personal })).toBe("codez");
  await rm(join(personal, "codez"));
  await writeFile(join(personal, "codez"), "another one");
  expect(commandOf(script, { PATH: `${personal}:${folder}` })).toBe(launcher);
});

test("a command is shown in the form in which codez was started", () => {
  expect(commandOf("/usr/bin/codez", {})).toBe("codez");
  expect(commandOf(new URL(import.meta.url).pathname, { npm_command: "exec" })).toBe("npx codez");
  const text = "Keep it connected: codez connect attic. See codez serve, or run npx codez setup; codezzz setup.";
  expect(asTyped(text, "codez")).toBe(text);
  expect(asTyped(text, "npx codez")).toBe(
    "Keep it connected: npx codez connect attic. See npx codez serve, or run npx codez setup; codezzz setup.",
  );
  expect(asTyped(`npx -y ${TARBALL} connect`, "npx codez")).toBe(`npx -y ${TARBALL} connect`);
  expect(asTyped("the config of codez is broken", "npx codez")).toBe("the config of codez is broken");
});
