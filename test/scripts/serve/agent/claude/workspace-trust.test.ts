import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { trustIn } from "../../../../../scripts/serve/agent/claude/workspace-trust.ts";

let home: string;

beforeEach(() => {
  home = realpathSync(mkdtempSync(join(tmpdir(), "codez-trust-")));
  make("mine/.git/");
  make("other/.git/");
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

/** A file below the home folder with its folders, or a folder if the path ends with a slash. */
function make(path: string, text = ""): void {
  const whole = join(home, path);
  mkdirSync(path.endsWith("/") ? whole : dirname(whole), { recursive: true });
  if (!path.endsWith("/")) writeFileSync(whole, text);
}

function trust(folder: string, accepted = ["mine"], listed: readonly string[] = []) {
  make(`${folder}/`);
  const projects = Object.fromEntries(accepted.map((one) => [join(home, one), { hasTrustDialogAccepted: true }]));
  make("state.json", JSON.stringify({ projects }));
  const folders = listed.map((one) => join(home, one));
  return trustIn(join(home, folder), join(home, "state.json"), folders);
}

const [ALL, SETTINGS, NONE] = [
  { settings: true, programs: true },
  { settings: true, programs: false },
  { settings: false, programs: false },
];

describe("trust in a folder", () => {
  test("extends to the folders below it", async () => {
    expect(await trust("mine")).toEqual(ALL);
    expect(await trust("mine/src/deep")).toEqual(ALL);
    expect(await trust("other")).toEqual(NONE);
  });

  test("ends where a folder has settings of its own", async () => {
    make("mine/evil/.mcp.json");
    expect(await trust("mine/evil/deep")).toEqual(NONE);
  });

  test("extends to repositories below a folder of sources, but for git to none within another one", async () => {
    expect(await trust("mine/src", ["."])).toEqual(ALL);
    make("mine/node_modules/evil/.git/");
    expect(await trust("mine/node_modules/evil")).toEqual(SETTINGS);
    expect(await trust("mine/node_modules/evil", ["mine"], ["mine/node_modules"])).toEqual(ALL);
  });

  test("extends to worktrees and submodules of the repository, wherever below it they are", async () => {
    make("mine/.git/worktrees/one/");
    make("mine/.git/modules/two/");
    make("mine/trees/one/.git", `gitdir: ${join(home, "mine/.git/worktrees/one")}\n`);
    make("mine/two/.git", "gitdir: ../.git/modules/two\n");
    expect(await trust("mine/trees/one/src")).toEqual(ALL);
    expect(await trust("mine/two")).toEqual(ALL);
  });

  test.each([
    ["into another repository", "gitdir: ../../other/.git\n"],
    ["nowhere", "gitdir: /nowhere\n"],
    ["in two lines", "gitdir: ../.git\ngitdir: ../../other/.git\n"],
    ["in another form", "gitdir:../../other/.git\n"],
    ["with nothing", ""],
  ])("ends at a .git file that leads %s", async (_, text) => {
    make("mine/evil/.git", text);
    expect(await trust("mine/evil/deep")).toEqual(NONE);
  });

  test("ends at a .git that is a link", async () => {
    make("mine/evil/");
    symlinkSync(join(home, "other/.git"), join(home, "mine/evil/.git"));
    expect(await trust("mine/evil")).toEqual(NONE);
  });
});
