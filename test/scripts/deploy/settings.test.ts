import { expect, test } from "vitest";
import { readSettings } from "../../../scripts/deploy/settings.ts";

const ENV = { CLOUDFLARE_ACCOUNT_ID: "acc", CLOUDFLARE_API_TOKEN: "token" };

test.each([
  [[], "--domain is missing"],
  [["--domain", "not a host"], "--domain is not a host name"],
  [["launch", "--domain", "operator.example.com"], '"launch" is not a command'],
  [["--domain", "operator.example.com", "--name", "My Operator"], "--name is not a name"],
  [["--domain", "operator.example.com", "--name", `o${"x".repeat(42)}`], "--name is not a name"],
  [["--domain", "operator.example.com", "--gate-host", "gate"], "--gate-host is not a host name"],
])("%j is answered with the mistake", (args, why) => {
  expect(readSettings(args, ENV)).toContain(why);
});

test("the account and the token are needed to deploy, and not to look from outside", () => {
  const args = ["--domain", "operator.example.com"];
  expect(readSettings(args, {})).toBe("CLOUDFLARE_ACCOUNT_ID is not set\nCLOUDFLARE_API_TOKEN is not set");
  expect(readSettings(["doctor", ...args], {})).toMatchObject({ action: "doctor", name: "operator" });
});
