import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { describeTarget } from "../../../scripts/codez/make-target.ts";
import { DEFAULT_TARGET_URL } from "../../../scripts/codez/profile/profile.ts";

test.each([
  ["the port in serve.json", '{ "port": 5123 }', "http://127.0.0.1:5123/mcp"],
  ["its usual port without one", "{}", DEFAULT_TARGET_URL],
  ["its usual port where the system chooses one", '{ "port": 0 }', DEFAULT_TARGET_URL],
  ["its usual port while serve.json is invalid", '{ "prot": 5123 }', DEFAULT_TARGET_URL],
])("this computer's codez serve is looked for at %s", (_, config, url) => {
  const home = mkdtempSync(join(tmpdir(), "codez-target-"));
  onTestFinished(() => rmSync(home, { recursive: true }));
  vi.stubEnv("CODEZ_HOME", home);
  onTestFinished(() => void vi.unstubAllEnvs());
  writeFileSync(join(home, "serve.json"), config, { mode: 0o600 });
  expect(describeTarget({ kind: "url", url: DEFAULT_TARGET_URL })).toBe(url);
  expect(describeTarget({ kind: "url", url: "http://127.0.0.1:3000/mcp" })).toBe("http://127.0.0.1:3000/mcp");
});
