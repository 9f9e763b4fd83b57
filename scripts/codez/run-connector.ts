import { existsSync } from "node:fs";
import type { Facts } from "#protocol/control.ts";
import { boundedFacts } from "#protocol/bounded.ts";
import type { PushedEvent } from "#protocol/event.ts";
import {
  Connector,
  DISK_RETRY_MS,
  type DiskFault,
  EventSpool,
  EventThrottle,
  type LinkSigner,
  machineFacts,
  type Stopped,
  type Target,
} from "../connector/index.ts";
import { ExitCode } from "./exit-code.ts";
import { CodezFailure } from "./failure.ts";
import { describeDiskFailure, isDiskFailure } from "../system/disk-failure.ts";
import { Lock } from "../system/lock.ts";
import type { Holder } from "../system/lock-holder.ts";
import { whyNotDial } from "./own-operator.ts";
import { expiredFailure } from "./link-status.ts";
import { renamed } from "./profile/profile.ts";
import type { ProfileFolder } from "./profile/profile-folder.ts";
import { isoTime } from "#protocol/iso-time.ts";
import { VERSION } from "./version.ts";
import { tell } from "../print.ts";

export type RunOptions = {
  readonly folder: ProfileFolder;
  /** The profile's name. */
  readonly key: string;
  readonly target: Target;
  /** Takes people's decisions; `null` if nothing behind this connector does. */
  readonly decisions?: Target | null;
  /** `name`: the machine's current name. */
  readonly online: (name: string, epoch: number) => void;
  /** Called when the reason differs from the previous one. */
  readonly offline: (reason: string, retryInMs: number) => void;
  /** Events cannot be written to disk, or can be again (`null`). */
  readonly diskFault: (fault: DiskFault | null) => void;
};

/** One machine's connector with its files: the lock, the spool, and the profile with its token. */
export class RunningConnector {
  readonly connector: Connector;
  readonly spool: EventSpool;
  /** Resolves with the reason when the connector has stopped and all of its files are released. */
  readonly stopped: Promise<Stopped>;
  readonly #throttle: EventThrottle;
  #facts: Facts = machineFacts(VERSION);

  /** Throws `CodezFailure` when another connector uses this profile. */
  static start(options: RunOptions): RunningConnector {
    const { folder, key } = options;
    const lock = Lock.take(folder.file(key, ".lock"));
    if (lock instanceof Lock) return new RunningConnector(options, lock);
    throw new CodezFailure(
      ExitCode.ALREADY_CONNECTED,
      `A connector for "${key}" runs on this computer already (process ${lock.pid}, since ${isoTime(lock.sinceMs)}).`,
      `Leave it running, or stop it first: kill ${lock.pid}`,
    );
  }

  private constructor({ folder, key, target, decisions = null, online, offline, diskFault }: RunOptions, lock: Lock) {
    let name = "";
    let newName: string | null = null;
    let lastReason: string | null = null;
    let said: [Holder["state"], string] = ["connecting", ""];
    let trouble: string | null = null;
    const say = (state: Holder["state"], detail: string): void => {
      said = [state, detail];
      lock.say(state, [detail, trouble].filter(Boolean).join("; "));
    };
    let stopRetrying = (): void => undefined;
    this.spool = new EventSpool(folder.file(key, ".events"), {
      faultChanged: (fault) => {
        trouble = fault === null ? null : `${fault.reason}: events are kept in memory until there is room`;
        say(...said);
        diskFault(fault);
        stopRetrying();
        if (fault === null) return;
        const timer = setInterval(() => {
          this.spool.retry();
          this.connector.sendEvents(); // once the disk works again, an event reports the fault
        }, DISK_RETRY_MS);
        stopRetrying = () => clearInterval(timer);
      },
    });
    this.connector = new Connector({
      whyNotDial,
      target,
      decisions,
      spool: this.spool,
      facts: () => this.#facts,
      credentials: () => {
        const { profile } = folder.choose(key);
        // A name that could not be saved is used until this process ends. At the next start Operator sends it again.
        const current = newName === null || profile.name === newName ? profile : renamed(profile, newName);
        name = current.name;
        return Promise.resolve({ ...current, key: keyOf(folder, key) });
      },
      renewed: (token, formerToken) => saveToken(folder, key, token, formerToken),
      renamed: (to) => {
        newName = to;
        rename(folder, key, to);
        return Promise.resolve();
      },
      listener: {
        online: (epoch) => {
          lastReason = null;
          say("online", "");
          online(name, epoch);
        },
        offline: (reason, retryInMs) => {
          say("offline", reason);
          if (reason !== lastReason) offline(reason, retryInMs);
          lastReason = reason;
        },
      },
    });
    this.#throttle = new EventThrottle((events, cursor) => {
      this.spool.append(events, cursor);
      this.connector.sendEvents();
    });
    this.stopped = this.connector.run().finally(() => {
      this.#throttle.stop();
      stopRetrying();
      lock.release();
    });
  }

  /**
   * Stores events until Operator has acknowledged them, within the connector's event rate. `cursor`: the position in their
   * source.
   */
  push(events: readonly PushedEvent[], cursor: string | null = null): void {
    this.#throttle.push(events, cursor);
  }

  /** Adds facts about the machine, and sends them. */
  learn(facts: Partial<Facts>): void {
    // The server behind the connector says some of them. A hello that is too large for the link would keep the machine offline.
    this.#facts = boundedFacts({ ...this.#facts, ...facts });
    this.connector.announce();
  }
}

/**
 * Saves a machine's new name in its profile. The file keeps its old name, because the lock and the events beside it are in use.
 * Commands find the profile by the machine's new name.
 */
function rename(folder: ProfileFolder, key: string, name: string): void {
  const { profile } = folder.choose(key);
  if (profile.name === name) return;
  try {
    folder.write(key, renamed(profile, name));
  } catch (reason) {
    if (!isDiskFailure(reason)) throw reason;
    tell(`The new name "${name}" cannot be saved now: ${describeDiskFailure(reason)}.`);
  }
}

/** The machine's key pair; `null` when it does not exist and cannot be written now. */
function keyOf(folder: ProfileFolder, key: string): LinkSigner | null {
  const path = folder.file(key, ".key");
  try {
    const isNew = !existsSync(path);
    const signer = folder.linkKey(key);
    if (isNew)
      tell(`There was no link key in ${path}, so one was made. If the link is bound to another: codez setup ${key}`);
    return signer;
  } catch (reason) {
    if (!isDiskFailure(reason)) throw reason;
    tell(`A link key cannot be made now: ${describeDiskFailure(reason)}.`);
    return null;
  }
}

/** Saves a token that replaces the present one, and keeps that. Until it is saved, the next dial uses the present one, which is still valid. */
export function saveToken(folder: ProfileFolder, key: string, token: string, formerToken: string): void {
  const { profile } = folder.choose(key);
  try {
    folder.write(key, { ...profile, token, formerToken });
  } catch (reason) {
    if (!isDiskFailure(reason)) throw reason;
    tell(`The renewed link token cannot be saved now: ${describeDiskFailure(reason)}.`);
  }
}

/** The failure that stopped the connector; `null` if it was asked to stop. */
export function failureOf(stopped: Stopped, name: string, hub: string): CodezFailure | null {
  switch (stopped.reason) {
    case "stopped":
      return null;
    case "refused":
      return new CodezFailure(
        ExitCode.REVOKED,
        `Operator does not accept the token of "${name}": the machine was removed, its token rotated, or Operator restored from a backup.`,
        `codez setup ${name}`,
      );
    case "expired":
      return expiredFailure(name, stopped.expiredMs);
    case "revoked":
      return new CodezFailure(ExitCode.REVOKED, `Operator closed the link: ${stopped.message}`, `codez setup ${name}`);
    case "replaced":
      return new CodezFailure(
        ExitCode.REPLACED,
        `Another connector took over "${name}": ${stopped.message}`,
        `End the other one, then: codez connect ${name}. To add this computer as a separate machine: codez setup <another-name>`,
      );
    case "protocol_too_old":
      return mismatch(`This codez (${VERSION}) is older than its Operator`, stopped.message, name, hub);
    case "protocol_too_new":
      return mismatch(`This codez (${VERSION}) is newer than its Operator`, stopped.message, name, hub);
  }
}

/** Every Operator serves the codez that matches it, so the fix is the same whichever of the two is older. */
function mismatch(text: string, detail: string, name: string, hub: string): CodezFailure {
  const fix = `Run the codez that this Operator serves: npx -y ${hub}/codez.tgz connect ${name}`;
  return new CodezFailure(ExitCode.TOO_OLD, `${text}: ${detail}`, fix);
}
