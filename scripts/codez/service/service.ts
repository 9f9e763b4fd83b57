import { execFile } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { ExitCode, FINAL_EXIT_CODES } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { DEFAULT_TARGET_URL, type TargetSpec } from "../profile/profile.ts";
import { codezHome } from "../../system/home.ts";
import { Installation } from "../install/installation.ts";
import { hubOfTarball } from "../invocation.ts";
import { VERSION } from "../version.ts";
import { launchdPlist, systemdUnit, type ServiceSpec } from "./unit.ts";

const run = promisify(execFile);

/** systemctl and launchctl either answer quickly or are waiting for something that will never happen. */
const MANAGER_TIMEOUT_MS = 20_000;

/** The service that keeps one profile connected: a systemd user unit on Linux, a launchd agent on macOS. */
export class Service {
  readonly #key: string;
  readonly #home: string;
  readonly #platform: NodeJS.Platform;

  constructor(key: string, platform: NodeJS.Platform = process.platform) {
    this.#key = key;
    this.#home = codezHome();
    this.#platform = platform;
  }

  /** The path where the service manager looks for the service file. */
  get path(): string {
    if (this.#platform === "darwin") return join(homedir(), "Library", "LaunchAgents", `${this.#label}.plist`);
    return join(process.env["XDG_CONFIG_HOME"] ?? join(homedir(), ".config"), "systemd", "user", this.#unit);
  }

  /**
   * Installs, enables and starts the service; returns what was done. With the default target the service also runs `codez
   * serve`.
   */
  async install(target: TargetSpec): Promise<string[]> {
    if (this.#platform !== "linux" && this.#platform !== "darwin")
      throw this.#failure(`there is no service for ${this.#platform} yet`, "Run `codez connect` at sign-in.");
    const installation = new Installation(this.#home);
    // npx runs codez from a cache that gets cleaned, so the service runs a copy that stays.
    installation.installOwn(VERSION, hubOfTarball(process.argv[1]));
    const isDefault = target.kind === "url" && target.url === DEFAULT_TARGET_URL;
    const spec = this.#spec(isDefault ? "up" : "connect", installation.program);
    mkdirSync(dirname(this.path), { recursive: true });
    writeFileSync(this.path, this.#platform === "darwin" ? launchdPlist(spec, this.#label) : systemdUnit(spec));
    const done = [`service file       ${this.path}`, `program            ${spec.program}`];
    if (this.#platform === "darwin") {
      await this.#manage("launchctl", ["bootout", this.#domain], true);
      await this.#manage("launchctl", ["bootstrap", dirname(this.#domain), this.path]);
      return [...done, `log                ${spec.log}`];
    }
    await this.#manage("systemctl", ["--user", "daemon-reload"]);
    await this.#manage("systemctl", ["--user", "enable", this.#unit]);
    await this.#manage("systemctl", ["--user", "restart", this.#unit]);
    const lingers = await this.#manage("loginctl", ["enable-linger", userInfo().username], true);
    const hint = lingers ? [] : ["to start the service before you log in: loginctl enable-linger"];
    return [...done, `log                journalctl --user -u ${this.#unit}`, ...hint];
  }

  /** Starts the service again, for example with a new program. Returns `false` when it is not installed. */
  async restart(): Promise<boolean> {
    if (!existsSync(this.path)) return false;
    if (this.#platform === "darwin") await this.#manage("launchctl", ["kickstart", "-k", this.#domain]);
    else await this.#manage("systemctl", ["--user", "restart", this.#unit]);
    return true;
  }

  /** Stops and removes the service; returns what was done (nothing when it is not installed). */
  async uninstall(): Promise<string[]> {
    if (!existsSync(this.path)) return [];
    if (this.#platform === "darwin") await this.#manage("launchctl", ["bootout", this.#domain], true);
    else await this.#manage("systemctl", ["--user", "disable", "--now", this.#unit], true);
    rmSync(this.path);
    if (this.#platform === "linux") await this.#manage("systemctl", ["--user", "daemon-reload"], true);
    return [`removed ${this.path}`];
  }

  get #unit(): string {
    return `codez-${this.#key}.service`;
  }

  get #label(): string {
    return `codez.${this.#key}`;
  }

  get #domain(): string {
    return `gui/${userInfo().uid}/${this.#label}`;
  }

  #spec(command: string, program: string): ServiceSpec {
    const { PATH = "" } = process.env;
    return {
      key: this.#key,
      command,
      node: process.execPath,
      program,
      environment: { PATH, CODEZ_HOME: this.#home },
      log: join(this.#home, `${this.#key}.log`),
      finalExitCodes: FINAL_EXIT_CODES,
    };
  }

  /** Runs the service manager. Returns whether it succeeded; throws if it failed and `mayFail` is not set. */
  async #manage(program: string, args: readonly string[], mayFail = false): Promise<boolean> {
    try {
      await run(program, [...args], { timeout: MANAGER_TIMEOUT_MS });
      return true;
    } catch (reason) {
      if (mayFail) return false;
      const detail = reason instanceof Error ? reason.message.trim() : String(reason);
      throw this.#failure(detail, `The service file is at ${this.path}. Without a service: codez connect ${this.#key}`);
    }
  }

  #failure(detail: string, fix: string): CodezFailure {
    return new CodezFailure(ExitCode.SERVICE_FAILED, `The service was not installed: ${detail}`, fix);
  }
}
