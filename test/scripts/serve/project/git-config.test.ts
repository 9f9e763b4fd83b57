import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { originIn } from "../../../../scripts/serve/project/git-config.ts";
import { withoutCredentials } from "../../../../scripts/system/remote-address.ts";

const ADDRESS = "https://me:SEC#RET@host.example/repo";

/** Each with what git itself makes of it. */
it.each([
  ["in quotes", `[remote "origin"]\n\turl = "${ADDRESS}"\n`],
  ["in quotes, with a comment behind", `[remote "origin"]\n\turl = "${ADDRESS}" ; at work\n`],
  ["with quotes in the middle", `[remote "origin"]\n\turl = https:/"/me:SEC#RET"@host.example/repo # at work\n`],
  ["over two lines", `[remote "origin"]\n\turl = https://me:"SEC#\\\nRET"@host.example/repo\n`],
  ["with escapes", `[remote "origin"]\n\turl = "https://me:SEC\\"\\\\RET@host.example/repo"\n`],
  ["with a bracket", `[remote "origin"]\n\turl = https://me:SEC[RET@host.example/repo\n`],
  ["at an IPv6 address", `[remote "origin"]\n\turl = https://me:SECRET@[::1]/repo\n`],
  ["in the section's own line", `[remote "origin"] url = https://me:SECRET@host.example/repo\n`],
  ["in capital letters", `[REMOTE "origin"]\r\n\tURL = https://me:SECRET@host.example/repo\r\n`],
  ["behind another remote", `[remote "Origin"]\nurl = one\n[remote "o]"]\nurl = two\n[remote "origin"]\nurl = three\n`],
  ["of no remote", `[remote "other"]\n\turl = one\n[core]\n\tbare = false\n`],
])("reads an address %s as git does, and shows no password of it", (_how, config) => {
  const folder = mkdtempSync(join(tmpdir(), "git-config-test-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "config");
  writeFileSync(file, config);
  const listed = execFileSync("git", ["config", "--file", file, "--null", "--list"], { encoding: "utf8" });
  const [, url = null] = /(?:^|\0)remote\.origin\.url\n([^\0]*)/.exec(listed) ?? [];
  expect(originIn(config)).toBe(url);
  expect(withoutCredentials(originIn(config) ?? "")).not.toMatch(/SEC|RET/);
});

it("reads a line once that begins as a section and goes on with spaces without end", () => {
  expect(originIn(`[${" ".repeat(1_000_000)}\n[remote "origin" ]\nurl = one\n`)).toBe("one");
});
