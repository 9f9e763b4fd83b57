import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ServeConfig } from "../../../scripts/serve/config.ts";
import { Policy } from "../../../scripts/serve/policy.ts";
import type { Project } from "../../../scripts/serve/project/projects.ts";

let root: string;

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "codez-policy-")));
  for (const name of ["repo/sub", "home/other", "repo-2", "outside"]) mkdirSync(join(root, name), { recursive: true });
  symlinkSync(join(root, "outside"), join(root, "repo", "way-out"));
});
afterEach(() => rmSync(root, { recursive: true }));

function policy(config: Record<string, unknown> = {}): Policy {
  const known = (path: string, isRepo: boolean): Project => {
    return { slug: "-", path, sessions: 1, lastActiveAtMs: 0, remote: null, branch: null, isRepo };
  };
  const projects = [known(join(root, "repo"), true), known(join(root, "home"), false)];
  const parsed = ServeConfig.parse(config);
  return new Policy(
    () => parsed,
    async () => projects,
  );
}

const codeOf = async (work: Promise<unknown>) => work.catch((error: { error: { code: string } }) => error.error.code);

describe("which folders may be driven", () => {
  test("a known project and folders inside its repository may", async () => {
    expect(await policy().mayDrive(join(root, "repo"))).toBe(join(root, "repo"));
    expect(await policy().mayDrive(join(root, "repo", "sub"))).toBe(join(root, "repo", "sub"));
    expect(await policy().mayDrive(join(root, "home"))).toBe(join(root, "home"));
  });

  test.each([
    ["a neighbour with the same beginning", "repo-2"],
    ["a folder below a known one that is no repository", "home/other"],
    ["a link that leads out of a repository", "repo/way-out"],
    ["a path that climbs out of a repository", "repo/../outside"],
    ["the root", "/"],
  ])("%s may not", async (_, path) => {
    const folder = path === "/" ? path : `${root}/${path}`;
    expect(await codeOf(policy().mayDrive(folder))).toBe("project_not_allowed");
  });

  test("a missing folder is reported as missing, not as forbidden", async () => {
    expect(await codeOf(policy().mayDrive(join(root, "nowhere")))).toBe("folder_missing");
    writeFileSync(join(root, "repo", "file"), "");
    expect(await codeOf(policy().mayDrive(join(root, "repo", "file")))).toBe("folder_missing");
  });

  test("a list in the config replaces the known projects", async () => {
    const narrow = policy({ drive: [join(root, "outside")] });
    expect(await narrow.mayDrive(join(root, "outside"))).toBe(join(root, "outside"));
    expect(await codeOf(narrow.mayDrive(join(root, "repo")))).toBe("project_not_allowed");
    expect(await codeOf(policy({ drive: [] }).mayDrive(join(root, "repo")))).toBe("project_not_allowed");
  });

  test("on a read-only machine no folder may", async () => {
    expect(await codeOf(policy({ readOnly: true }).mayDrive(join(root, "repo")))).toBe("read_only");
  });
});

describe("which permission modes may be requested", () => {
  test("without a setting: those that ask a person, and no higher ones", () => {
    expect(policy().mayUse(undefined)).toBe("default");
    for (const mode of ["plan", "dontAsk", "default", "manual"]) expect(() => policy().mayUse(mode)).not.toThrow();
    for (const mode of ["acceptEdits", "auto", "bypassPermissions"]) {
      expect(() => policy().mayUse(mode)).toThrow(/above the highest that this machine allows/);
    }
  });

  test("bypassPermissions only if the config names it", () => {
    expect(() => policy({ maxPermissionMode: "auto" }).mayUse("bypassPermissions")).toThrow(/above/);
    expect(policy({ maxPermissionMode: "bypassPermissions" }).mayUse("bypassPermissions")).toBe("bypassPermissions");
  });

  test("an unknown mode is reported as unknown", () => {
    expect(() => policy().mayUse("yolo")).toThrow(/Use one of: plan/);
  });
});

describe("who may approve", () => {
  test("nobody remotely, except where the config allows it", async () => {
    expect(await policy().mayApprove(join(root, "repo"))).toBe(false);
    expect(await policy({ respondPermission: true }).mayApprove(join(root, "repo"))).toBe(true);
    const some = policy({ respondPermission: [join(root, "repo")] });
    expect(await some.mayApprove(join(root, "repo", "sub"))).toBe(true);
    expect(await some.mayApprove(join(root, "repo-2"))).toBe(false);
    expect(await some.mayApprove(join(root, "repo", "way-out"))).toBe(false);
    expect(await policy({ respondPermission: true, readOnly: true }).mayApprove(join(root, "repo"))).toBe(false);
  });
});

test("a prompt with more mentions than are looked up is refused", async () => {
  expect(await codeOf(policy().mayPrompt("@sub ".repeat(300), join(root, "repo")))).toBe("arguments_invalid");
});
