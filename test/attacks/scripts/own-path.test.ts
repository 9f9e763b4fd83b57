// Root cause: of a folder that decides what runs, only the files in it were looked at. Who could write to a folder above, or replace a link that leads to
// it, could put a folder of the same name in its place.
import {
  chmodSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openState } from "../../../scripts/local/state.ts";
import { isAloneIn, whyNotOwn, whyNotOwnWithin } from "../../../scripts/system/own-path.ts";

const NOBODY = 65_534;

let root: string;
let home: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "own-path-")));
  chmodSync(root, 0o755);
  home = join(root, "above", "home");
  mkdirSync(home, { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test("a folder of ours in one like /tmp is used, also by a link of ours, and before it is made", () => {
  symlinkSync("above", join(root, "link"));
  for (const path of [home, join(root, "link", "home"), join(home, "new", "one")]) expect(whyNotOwn(path)).toBeNull();
});

test.each([0o777, 0o757])("a folder below one that others may write to (%o) is refused", (mode) => {
  chmodSync(join(root, "above"), mode);
  const why = `other users may write to ${join(root, "above")} (chmod go-w ${join(root, "above")})`;
  expect(whyNotOwn(home)).toBe(why);
  expect(whyNotOwn(join(home, "new"))).toBe(why);
  chmodSync(root, 0o700); // nobody else gets there
  expect(whyNotOwn(home)).toBeNull();
});

test.each([0o777, 0o1777])("a folder that others may write to (%o) is refused", (mode) => {
  chmodSync(home, mode);
  expect(whyNotOwn(home)).toContain(`chmod go-w ${home}`);
});

test("a link that others could replace, or that leads through a folder of theirs, is refused", () => {
  mkdirSync(join(root, "shared"));
  symlinkSync(home, join(root, "shared", "link"));
  symlinkSync(join("shared", "link"), join(root, "first"));
  expect(whyNotOwn(join(root, "first"))).toBeNull();
  chmodSync(join(root, "shared"), 0o777);
  expect(whyNotOwn(join(root, "first"))).toContain(join(root, "shared"));
  chmodSync(join(root, "shared"), 0o755);
  chmodSync(join(root, "above"), 0o777);
  expect(whyNotOwn(join(root, "first"))).toContain(join(root, "above"));
  symlinkSync("endless", join(root, "endless"));
  expect(whyNotOwn(join(root, "endless"))).toContain("too many links");
});

test.runIf(process.getuid?.() === 0)(
  "a folder that a group may write to is used if nobody else is in that group",
  () => {
    for (const path of [join(root, "above"), home]) {
      chmodSync(path, 0o775);
      expect(whyNotOwn(home)).toBeNull();
      lchownSync(path, 0, NOBODY);
      expect(whyNotOwn(home)).toContain(`chmod go-w ${path}`);
      lchownSync(path, 0, 0);
    }
  },
);

test.each([
  ["ada:x:1000:", true],
  ["ada:x:1000:ada", true],
  ["ada:x:1000:ada,bob", false],
  ["ada:x:1000:bob", false],
  ["staff:x:1000:", false],
  ["ada:x:1001:", false],
  ["ada:x:10001:", false],
])("whether a user is alone in their group, which is %s: %s", (line, isAlone) => {
  expect(isAloneIn(`root:x:0:\n${line}\n`, 1000, "ada")).toBe(isAlone);
});

test.runIf(process.getuid?.() === 0)("a link or folder of another user is refused, also in one like /tmp", () => {
  chmodSync(root, 0o1777);
  symlinkSync(home, join(root, "link"));
  expect(whyNotOwn(join(root, "link"))).toBeNull();
  lchownSync(join(root, "link"), NOBODY, NOBODY);
  expect(whyNotOwn(join(root, "link"))).toBe(`the link ${join(root, "link")} belongs to another user`);
  lchownSync(join(root, "above"), NOBODY, NOBODY);
  expect(whyNotOwn(home)).toBe(`${join(root, "above")} belongs to another user`);
});

test("the folders in a folder are looked at as well, and links to folders, but no other entries", () => {
  const [other, target] = [join(home, "other"), join(root, "target")];
  for (const folder of [other, target]) mkdirSync(folder);
  writeFileSync(join(home, "file"), "", { mode: 0o666 });
  for (const [name, to] of [["link", target], ["loop", "loop"], ["nowhere", "not-there"]] as const) symlinkSync(to, join(home, name)); // prettier-ignore
  expect(whyNotOwnWithin(home)).toBeNull();
  expect(whyNotOwnWithin(join(home, "new"))).toBeNull();
  chmodSync(target, 0o777);
  expect(whyNotOwnWithin(home)).toContain(`chmod go-w ${target}`);
  chmodSync(target, 0o755);
  chmodSync(root, 0o777);
  expect(whyNotOwnWithin(home)).toContain(`chmod go-w ${root}`);
});

test.runIf(process.getuid?.() === 0)(
  "a folder or link that another user has made in it is refused, also if it is closed now",
  () => {
    chmodSync(home, 0o700);
    mkdirSync(join(home, "machines"));
    symlinkSync(root, join(home, "serve"));
    expect(whyNotOwnWithin(home)).toBeNull();
    for (const name of ["machines", "serve"]) {
      lchownSync(join(home, name), NOBODY, NOBODY);
      expect(whyNotOwnWithin(home)).toBe(`${join(home, name)} belongs to another user`);
      lchownSync(join(home, name), 0, 0);
    }
  },
);

// That codez does is in test/scripts/codez/commands/commands.test.ts, where it is built.
test("Operator refuses such a state folder and says what to do", async () => {
  chmodSync(join(root, "above"), 0o777);
  await expect(openState(join(home, "state"))).rejects.toThrow(`chmod go-w ${join(root, "above")}`);
});
