import { LAUNCHD_FLAG } from "../launchd.ts";

/** What a service file says. */
export type ServiceSpec = {
  /** The profile's name. */
  readonly key: string;
  /** `connect` or `up`. */
  readonly command: string;
  readonly node: string;
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
  readonly log: string;
  /** Exit codes after which the service must not be restarted. */
  readonly finalExitCodes: readonly number[];
};

/** A systemd user unit. */
export function systemdUnit(spec: ServiceSpec): string {
  const { key, command, node, program, environment, finalExitCodes } = spec;
  const variables = Object.entries(environment).map(([name, value]) => `Environment=${quoted(`${name}=${value}`)}`);
  return [
    "[Unit]",
    `Description=codez ${command} ${key}`,
    "After=network-online.target",
    "Wants=network-online.target",
    "",
    "[Service]",
    `ExecStart=${[node, program, command, key].map(quoted).join(" ")}`,
    ...variables,
    "Restart=always",
    "RestartSec=5",
    `RestartPreventExitStatus=${finalExitCodes.join(" ")}`,
    "KillMode=mixed",
    "",
    "[Install]",
    "WantedBy=default.target",
    "",
  ].join("\n");
}

/** Quotes for systemd, where `%` begins a specifier and `$` a variable even inside quotes. */
function quoted(text: string): string {
  const escaped = text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%").replaceAll("$", "$$$$");
  return `"${escaped}"`;
}

/**
 * A launchd agent. launchd cannot tell exit codes apart, so `codez` is told to end with 0 where starting it again would not
 * help (`../launchd.ts`), and is started again after any other.
 */
export function launchdPlist(spec: ServiceSpec, label: string): string {
  const { key, command, node, program, environment, log } = spec;
  const variables = Object.entries(environment).map(
    ([name, value]) => `    <key>${xml(name)}</key><string>${xml(value)}</string>`,
  );
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0">',
    "<dict>",
    `  <key>Label</key><string>${xml(label)}</string>`,
    "  <key>ProgramArguments</key>",
    "  <array>",
    ...[node, program, command, key, LAUNCHD_FLAG].map((argument) => `    <string>${xml(argument)}</string>`),
    "  </array>",
    "  <key>EnvironmentVariables</key>",
    "  <dict>",
    ...variables,
    "  </dict>",
    "  <key>RunAtLoad</key><true/>",
    "  <key>KeepAlive</key>",
    "  <dict>",
    "    <key>SuccessfulExit</key><false/>",
    "  </dict>",
    "  <key>ThrottleInterval</key><integer>30</integer>",
    `  <key>StandardOutPath</key><string>${xml(log)}</string>`,
    `  <key>StandardErrorPath</key><string>${xml(log)}</string>`,
    "</dict>",
    "</plist>",
    "",
  ].join("\n");
}

function xml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
