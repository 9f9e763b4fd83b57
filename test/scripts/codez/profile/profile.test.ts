import { chmodSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { ExitCode } from "../../../../scripts/codez/exit-code.ts";
import { renamed, type Profile } from "../../../../scripts/codez/profile/profile.ts";
import { ProfileFolder } from "../../../../scripts/codez/profile/profile-folder.ts";
import { temporaryFolder } from "../../connector/support/temporary-folder.ts";

function profile(name: string, more: Partial<Profile> = {}): Profile {
  return {
    hub: "http://127.0.0.1:8787",
    name,
    slug: name,
    linkUrl: `ws://127.0.0.1:8787/m/${name}/link`,
    mcpUrl: `http://127.0.0.1:8787/m/${name}/mcp`,
    token: "secret-token",
    identity: "0123456789abcdef",
    target: { kind: "url", url: "http://127.0.0.1:4097/mcp" },
    events: true,
    ...more,
  };
}

it("a profile is read as it was written, and only its owner can read the file", () => {
  using home = temporaryFolder();
  const folder = new ProfileFolder(home.path);
  folder.write("attic", profile("attic"));
  expect(folder.read("attic")).toEqual(profile("attic"));
  expect(statSync(folder.path).mode & 0o777).toBe(0o700);
  expect(statSync(folder.file("attic", ".json")).mode & 0o777).toBe(0o600);
  chmodSync(folder.path, 0o755);
  folder.write("attic", profile("attic"));
  expect(statSync(folder.path).mode & 0o777).toBe(0o700);
  expect(readdirSync(folder.path)).toEqual(["attic.json"]);
});

it.each([
  ["no JSON", "{"],
  ["a field missing", JSON.stringify({ ...profile("attic"), token: undefined })],
  ["an invalid address", JSON.stringify(profile("attic", { linkUrl: "file:///etc/passwd" }))],
  ["a name with a path in it", JSON.stringify(profile("../x"))],
])("a damaged profile is reported with its path and without its token: %s", (_, text) => {
  using home = temporaryFolder();
  const folder = new ProfileFolder(home.path);
  folder.write("attic", profile("attic"));
  writeFileSync(folder.file("attic", ".json"), text);
  const message = messageOf(() => folder.read("attic"), ExitCode.FILE_BROKEN);
  expect(message).toContain(join(home.path, "machines", "attic.json"));
  expect(message).not.toContain("secret-token");
});

it("without a name the only profile is used, and of several one must be named, by file or by machine", () => {
  using home = temporaryFolder();
  const folder = new ProfileFolder(home.path);
  messageOf(() => folder.choose(undefined), ExitCode.NOT_SET_UP);
  folder.write("attic", profile("loft"));
  expect(folder.choose(undefined).key).toBe("attic");
  folder.write("cellar", profile("cellar"));
  messageOf(() => folder.choose(undefined), ExitCode.USAGE);
  expect(folder.choose("cellar").key).toBe("cellar");
  expect(folder.choose("loft").key).toBe("attic");
  messageOf(() => folder.choose("shed"), ExitCode.NOT_SET_UP);
  messageOf(() => folder.read("../../etc/passwd"), ExitCode.USAGE);
});

it("two Operators' machines of one name each have a profile of their own", () => {
  using home = temporaryFolder();
  const folder = new ProfileFolder(home.path);
  const far = "https://operator.example.com";
  folder.write("attic", profile("attic"));
  expect(folder.find(far, "attic")).toBeNull();
  expect(folder.freeKey("attic")).toBe("attic-2");
  folder.write("attic-2", profile("attic", { hub: far }));
  expect(folder.find(far, "attic")?.key).toBe("attic-2");
  expect(folder.find("http://127.0.0.1:8787", "attic")?.key).toBe("attic");
});

it("a renamed machine's addresses change, by path and by host, with its owner's tag", () => {
  expect(renamed(profile("attic"), "loft")).toMatchObject({
    name: "loft",
    slug: "loft",
    linkUrl: "ws://127.0.0.1:8787/m/loft/link",
    mcpUrl: "http://127.0.0.1:8787/m/loft/mcp",
  });
  const tagged = profile("attic", {
    slug: "attic--abcd1234",
    linkUrl: "wss://attic--abcd1234.operator.example.com/link",
    mcpUrl: "https://attic--abcd1234.operator.example.com/mcp",
  });
  expect(renamed(tagged, "loft")).toMatchObject({
    slug: "loft--abcd1234",
    linkUrl: "wss://loft--abcd1234.operator.example.com/link",
    mcpUrl: "https://loft--abcd1234.operator.example.com/mcp",
  });
});

function messageOf(act: () => unknown, exitCode: number): string {
  try {
    act();
  } catch (reason) {
    expect(reason).toMatchObject({ exitCode, fix: expect.stringMatching(/\w/) });
    return String(reason);
  }
  throw new Error("nothing was thrown");
}
