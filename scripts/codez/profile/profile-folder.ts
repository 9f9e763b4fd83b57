import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { codezHome } from "../../system/home.ts";
import { writePrivately } from "../../system/atomic-file.ts";
import { NotTrusted, readTrustedFile } from "../../system/trusted-file.ts";
import type { LinkSigner } from "../../connector/index.ts";
import { linkKey, publicLinkKey } from "./link-key-file.ts";
import { BegunSetup, newIdentity, Profile } from "./profile.ts";

const SUFFIX = ".json";
const EVENTS_SUFFIX = ".events";
const KEY_SUFFIX = ".key";
const BEGUN_SUFFIX = ".begun";

/** A profile's name is the name of its file: the machine's name, unless `--profile` gave another. */
const FILE_NAME = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;

/**
 * `~/.codez/machines/`: the profiles of the machines that this computer is set up as, each with its key, its lock and its
 * unsent events.
 */
export class ProfileFolder {
  readonly path: string;

  constructor(home: string = codezHome()) {
    this.path = join(home, "machines");
  }

  names(): string[] {
    if (!existsSync(this.path)) return [];
    const files = readdirSync(this.path).filter((file) => file.endsWith(SUFFIX));
    return files
      .map((file) => file.slice(0, -SUFFIX.length))
      .filter((name) => FILE_NAME.test(name))
      .sort();
  }

  /** The profile of that name, or `null`. Throws `CodezFailure` when its file is broken, or when somebody else could have written it. */
  read(name: string): Profile | null {
    let text: string | null;
    try {
      // A profile names a command that is run, and the Operator that may call it.
      text = readTrustedFile(this.file(name, SUFFIX));
    } catch (reason) {
      throw this.#broken(name, reason instanceof NotTrusted ? reason.message : String(reason), reason);
    }
    if (text === null) return null;
    const parsed = Profile.safeParse(parseJson(text));
    if (!parsed.success) throw this.#broken(name, z.prettifyError(parsed.error));
    return parsed.data;
  }

  write(name: string, profile: Profile): void {
    writePrivately(this.file(name, SUFFIX), `${JSON.stringify(Profile.parse(profile), null, 2)}\n`);
    rmSync(this.file(name, BEGUN_SUFFIX), { force: true });
  }

  /**
   * What this computer is registered as if it has no profile of that machine: the same as before, if an earlier `setup` began with it and was not
   * finished. Otherwise with a new key, since one that is there may be another Operator's, and no two may know the same one.
   */
  begin(key: string, machine: Pick<BegunSetup, "hub" | "name">): { identity: string; linkKey: string } {
    const begun = this.#begun(key);
    if (begun?.hub === machine.hub && begun.name === machine.name)
      return { identity: begun.identity, linkKey: this.linkKey(key).publicKey };
    const identity = newIdentity();
    const { publicKey } = this.newLinkKey(key);
    writePrivately(this.file(key, BEGUN_SUFFIX), `${JSON.stringify({ ...machine, identity })}\n`);
    return { identity, linkKey: publicKey };
  }

  /** `null` also if somebody else could have written it: nothing is lost but that the setup can go on. */
  #begun(key: string): BegunSetup | null {
    try {
      const text = readTrustedFile(this.file(key, BEGUN_SUFFIX));
      return text === null ? null : (BegunSetup.safeParse(parseJson(text)).data ?? null);
    } catch (reason) {
      if (reason instanceof NotTrusted) return null;
      throw reason;
    }
  }

  /**
   * The key pair of the machine's link, made at the first use. Throws `CodezFailure` when its file cannot be trusted, and the
   * error of the file system when it cannot be written.
   */
  linkKey(name: string): LinkSigner {
    return linkKey(this.file(name, KEY_SUFFIX), name);
  }

  /** A new key pair, in place of one that may have been another Operator's. */
  newLinkKey(name: string): LinkSigner {
    rmSync(this.file(name, KEY_SUFFIX), { force: true });
    return this.linkKey(name);
  }

  /** The public key, or `null` while this computer has no key for the machine. */
  publicLinkKey(name: string): string | null {
    return publicLinkKey(this.file(name, KEY_SUFFIX), name);
  }

  remove(name: string): void {
    for (const suffix of [SUFFIX, EVENTS_SUFFIX, KEY_SUFFIX, BEGUN_SUFFIX] as const)
      rmSync(this.file(name, suffix), { force: true });
  }

  /** The profile of this machine at this Operator, if there is one. */
  find(hub: string, name: string): { key: string; profile: Profile } | null {
    for (const key of this.names()) {
      const profile = this.read(key);
      if (profile?.hub === hub && profile.name === name) return { key, profile };
    }
    return null;
  }

  /** A name for a new profile: the machine's name, with a number if a machine of another Operator already uses it here. */
  freeKey(name: string): string {
    const taken = new Set(this.names());
    for (let number = 1; ; number += 1) {
      const key = number === 1 ? name : `${name}-${number}`;
      if (!taken.has(key)) return key;
    }
  }

  /** The path of a profile's file of this kind. */
  file(name: string, suffix: ".json" | ".lock" | ".events" | ".key" | ".begun"): string {
    if (!FILE_NAME.test(name))
      throw new CodezFailure(ExitCode.USAGE, `"${name}" cannot be a profile's name.`, "Use a-z, 0-9 and hyphens.");
    return join(this.path, name + suffix);
  }

  /** The profile that a command is for: the named one (by file or machine name), or the only one. */
  choose(name: string | undefined): { key: string; profile: Profile } {
    const names = this.names();
    const key = name === undefined ? (names.length === 1 ? names[0] : undefined) : this.#keyOf(name, names);
    if (key === undefined && name === undefined && names.length > 1)
      throw new CodezFailure(
        ExitCode.USAGE,
        `This computer is set up as several machines: ${names.join(", ")}.`,
        "Say which one, for example: codez connect " + names[0],
      );
    const profile = key === undefined ? null : this.read(key);
    if (key === undefined || profile === null)
      throw new CodezFailure(
        ExitCode.NOT_SET_UP,
        name === undefined ? "This computer is not set up as a machine yet." : `There is no machine "${name}" here.`,
        `codez setup${name === undefined ? "" : ` ${name}`}`,
      );
    return { key, profile };
  }

  #keyOf(name: string, names: readonly string[]): string | undefined {
    return names.includes(name) ? name : names.find((key) => this.read(key)?.name === name);
  }

  #broken(name: string, why: string, cause?: unknown): CodezFailure {
    const path = this.file(name, SUFFIX);
    const fix = `Remove ${path} and run: codez setup ${name}`;
    return new CodezFailure(ExitCode.FILE_BROKEN, `${path} cannot be used: ${why}`, fix, cause);
  }
}
