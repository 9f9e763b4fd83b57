import { describe, expect, it } from "vitest";
import type { Env } from "../../dispatch-worker/src/env.ts";
import { isGateSecret } from "../../dispatch-worker/src/gate-secret.ts";

const env = (secrets: Partial<Env>): Env => secrets as unknown as Env; // the rest is not looked at
const both = env({ DISPATCH_SECRET: "gate-secret", DISPATCH_SECRET_PREVIOUS: "older-secret" });

describe("a gate's secret", () => {
  it.each(["gate-secret", "older-secret"])("is accepted if it is the current or the previous one: %s", (shown) => {
    expect(isGateSecret(shown, both)).toBe(true);
  });

  it.each([
    null,
    "",
    "gate-secre",
    "gate-secret ",
    "gate-secreT",
    "Gate-secret",
    "gate-secretgate-secret",
    "gate-secret,gate-secret",
    "\0",
    "wrong",
    "older",
  ])("is refused if it is %j", (shown) => {
    expect(isGateSecret(shown, both)).toBe(false);
  });

  it("is refused after two rotations", () => {
    expect(isGateSecret("older-secret", env({ DISPATCH_SECRET: "gate-secret" }))).toBe(false);
  });

  it("refuses everybody if it was never set, even callers who send none", () => {
    for (const unset of [
      env({}),
      env({ DISPATCH_SECRET: "" }),
      env({ DISPATCH_SECRET: "", DISPATCH_SECRET_PREVIOUS: "" }),
    ])
      for (const shown of [null, "", "undefined", "null"]) expect(isGateSecret(shown, unset)).toBe(false);
  });
});
