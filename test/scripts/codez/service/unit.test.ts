import { expect, it } from "vitest";
import { ExitCode, FINAL_EXIT_CODES } from "../../../../scripts/codez/exit-code.ts";
import { launchdPlist, systemdUnit, type ServiceSpec } from "../../../../scripts/codez/service/unit.ts";

const SPEC: ServiceSpec = {
  key: "attic",
  command: "connect",
  node: "/opt/my node/bin/node",
  program: "/home/me/.codez/bin/codez.js",
  environment: { PATH: "/usr/bin:/opt/50%/$HOME", CODEZ_HOME: '/home/me/"x"' },
  log: "/home/me/.codez/attic.log",
  finalExitCodes: FINAL_EXIT_CODES,
};

it("a systemd unit starts the installed copy, and restarts it unless that is useless", () => {
  const lines = systemdUnit(SPEC).split("\n");
  expect(lines).toContain('ExecStart="/opt/my node/bin/node" "/home/me/.codez/bin/codez.js" "connect" "attic"');
  expect(lines).toContain("Restart=always");
  expect(lines).toContain(`RestartPreventExitStatus=${FINAL_EXIT_CODES.join(" ")}`);
  expect(lines).toContain("WantedBy=default.target");
});

it("characters with a meaning for systemd are escaped", () => {
  const lines = systemdUnit(SPEC).split("\n");
  expect(lines).toContain('Environment="PATH=/usr/bin:/opt/50%%/$$HOME"');
  expect(lines).toContain(String.raw`Environment="CODEZ_HOME=/home/me/\"x\""`);
});

it("a launchd agent does the same, with escaped XML", () => {
  const plist = launchdPlist({ ...SPEC, node: "/opt/a&b/<node>" }, "codez.attic");
  expect(plist).toContain("<key>Label</key><string>codez.attic</string>");
  expect(plist).toMatch(
    /<array>\s*<string>\/opt\/a&amp;b\/&lt;node&gt;<\/string>\s*<string>\/home\/me\/\.codez\/bin\/codez\.js<\/string>\s*<string>connect<\/string>\s*<string>attic<\/string>\s*<string>--launchd<\/string>\s*<\/array>/,
  );
  // Unconditional, it would start a revoked machine again and again.
  expect(plist).toMatch(/<key>KeepAlive<\/key>\s*<dict>\s*<key>SuccessfulExit<\/key><false\/>\s*<\/dict>/);
  expect(plist).toContain("<key>StandardErrorPath</key><string>/home/me/.codez/attic.log</string>");
});

it("a replaced or revoked connector is not restarted, and one that lost the network is", () => {
  expect(FINAL_EXIT_CODES).toContain(ExitCode.REPLACED);
  expect(FINAL_EXIT_CODES).toContain(ExitCode.REVOKED);
  expect(FINAL_EXIT_CODES).not.toContain(ExitCode.HUB_UNREACHABLE);
  expect(FINAL_EXIT_CODES).not.toContain(ExitCode.UNEXPECTED);
});
