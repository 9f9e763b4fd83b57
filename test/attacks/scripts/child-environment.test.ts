// Root cause: programs that codez starts inherited its whole environment, so the MCP server behind `connect`, the agent
// and every command of the agent could read the token with which codez manages an Operator.
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { Child } from "../../../scripts/connector/stdio/child.ts";
import { childEnvironment } from "../../../scripts/system/child-environment.ts";
import { obedient, TestMachine } from "../../scripts/serve/support/machine.ts";

const OWN = {
  CODEZ_HUB_TOKEN: "opr_secret",
  CODEZ_SIGN_IN: "device",
  OPERATOR_STATE: "/somewhere",
  CLAIM_CODE: "CLAIM-SECRET",
  DISPATCH_SECRET: "gate-secret",
  DISPATCH_SECRET_PREVIOUS: "older-gate-secret",
  REPORT_SECRET: "report-secret",
};

/** Variables that people expect their programs to inherit. */
const THEIRS = {
  HTTPS_PROXY: "http://proxy.example:3128",
  NO_PROXY: "localhost",
  LANG: "de_DE.UTF-8",
  GITHUB_TOKEN: "of-the-mcp-server",
  ANTHROPIC_API_KEY: "of-claude-code",
  MY_SERVER_SETTING: "1",
};

test("a child process inherits no variable of Operator's, in any letter case, and all other variables", () => {
  const lower = Object.fromEntries(Object.entries(OWN).map(([name, value]) => [name.toLowerCase(), value]));
  const passed = childEnvironment({ ...OWN, ...lower, ...THEIRS, CODEZ_HOME: "/home/me/.codez", NOT_SET: undefined });
  expect(passed).toEqual({ ...THEIRS, CODEZ_HOME: "/home/me/.codez" });
});

test("a stdio MCP server behind connect sees its own variables and no Operator token", async () => {
  const before = { ...process.env };
  Object.assign(process.env, OWN, THEIRS);
  try {
    const said = await new Promise<string>((resolve) => {
      const spec = { command: process.execPath, args: ["-e", "console.log(JSON.stringify(process.env))"] };
      const cwd = fileURLToPath(new URL(".", import.meta.url));
      void new Child({ ...spec, cwd }, { line: (line) => resolve(line.toString()), ended: ({ why }) => resolve(why) });
    });
    const env = JSON.parse(said) as Record<string, string>;
    expect(env).toMatchObject(THEIRS);
    expect(env["PATH"]).toBe(process.env["PATH"]);
    for (const [name, value] of Object.entries(OWN)) {
      expect(env).not.toHaveProperty(name);
      expect(said).not.toContain(value);
    }
  } finally {
    for (const name of [...Object.keys(OWN), ...Object.keys(THEIRS)]) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
});

test("the agent and its commands see no Operator token", async () => {
  await using machine = await TestMachine.start({
    config: { maxPermissionMode: "bypassPermissions" },
    script: obedient,
    env: { ...OWN, MY_SERVER_SETTING: "1", IS_SANDBOX: "1" },
  });
  await using client = await machine.connect();
  const session = await client.create(machine.repo("repo"), { permission_mode: "bypassPermissions" });
  const input = { session_id: session, text: "bash env", timeout_ms: 60_000 };
  const { result } = await client.call("send_and_wait", input);
  expect(result).toContain("MY_SERVER_SETTING=1");
  for (const [name, value] of Object.entries(OWN)) {
    expect(result).not.toContain(`${name}=`);
    expect(result).not.toContain(value);
  }
});
