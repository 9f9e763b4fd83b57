import { homedir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { codezHome } from "../../../scripts/system/home.ts";

afterEach(() => vi.unstubAllEnvs());

test.each([
  ["/elsewhere", "/elsewhere"],
  ["", join(homedir(), ".codez")],
])("with CODEZ_HOME=%j the files of codez are in %s", (given, home) => {
  vi.stubEnv("CODEZ_HOME", given);
  expect(codezHome()).toBe(home);
});
