import { randomSecret } from "#protocol/bytes.ts";
import { columnsOf } from "../../columns.ts";
import { latestEnd } from "../clock.ts";
import { hashOf, randomLetters } from "../secret.ts";
import { CROWD_COLUMNS, crowdOf, victimIn } from "./crowd.ts";

/** Lifetime of a device code: time for a person to fetch a phone and sign in there (RFC 8628 section 3.2). Milliseconds. */
export const DEVICE_MS = 10 * 60_000;

/** Shortest polling interval. Each `slow_down` adds the same amount to it (RFC 8628 section 3.5). Milliseconds. */
export const POLL_STEP_MS = 5_000;

/** The character set that RFC 8628 section 6.1 suggests: easy to tell apart, and without vowels, so that no code spells a word. */
const LETTERS = "BCDFGHJKLMNPQRSTVWXZ";
/** 20^8 (about 2.6 * 10^10) codes, of which only a few are open at a time: the rate limit of `/pair` makes guessing hopeless. */
const CODE_LETTERS = 8;

/**
 * A device's request as it is shown to the person who decides on it. `place`: the address that the request came from. `approvedMs`: when
 * the person decided, milliseconds since 1970. The device may come for its tokens minutes later, and the sign-in is no fresher then.
 */
export type DeviceRequest = {
  clientId: string;
  clientName: string;
  scope: string[];
  audience: string;
  place: string;
  approvedMs?: number;
};

export type DevicePoll = "authorization_pending" | "slow_down" | "access_denied" | "expired_token";

type Row = {
  request: string;
  /** `redeeming`: it was handed out, and its tokens are being issued or were. */
  state: "open" | "denied" | "approved" | "redeeming";
  person: string | null;
  interval_ms: number;
  next_ms: number;
  expires_ms: number;
};

/**
 * Open codes, from everybody together. Someone who guesses a code tries ten of 2.6 * 10^10 (`/pair`), so with this many open ones
 * they would need a million years. A code that begins when there are as many takes the place of another (crowd.ts).
 */
const MAX_OPEN = 1_000;

/** The table of device codes (RFC 8628). Only hashes of the device code and the user code are stored. */
export class Devices {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#create();
    // A database of version 0.2. Its codes live ten minutes; a device whose code is gone asks for another.
    if (columnsOf(sql, "device").has("wide")) return;
    sql.exec("DROP TABLE device");
    this.#create();
  }

  #create(): void {
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS device (
      device_hash TEXT PRIMARY KEY, user_hash TEXT NOT NULL UNIQUE, request TEXT NOT NULL, state TEXT NOT NULL, person TEXT,
      interval_ms INTEGER NOT NULL, next_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, ${CROWD_COLUMNS})`);
  }

  async begin(request: DeviceRequest, nowMs: number): Promise<{ deviceCode: string; userCode: string }> {
    this.#sql.exec("DELETE FROM device WHERE expires_ms <= ?", nowMs);
    this.#makeRoom();
    const deviceCode = randomSecret();
    const letters = randomLetters(LETTERS, CODE_LETTERS);
    this.#sql.exec(
      "INSERT INTO device VALUES (?, ?, ?, 'open', NULL, ?, ?, ?, ?, ?, ?, ?)",
      await hashOf(deviceCode),
      await hashOf(letters),
      JSON.stringify(request),
      POLL_STEP_MS,
      nowMs,
      nowMs + DEVICE_MS,
      ...crowdOf(request.place),
      nowMs,
    );
    return { deviceCode, userCode: `${letters.slice(0, CODE_LETTERS / 2)}-${letters.slice(CODE_LETTERS / 2)}` };
  }

  /** Only open codes have to go: behind an approved one there is a person. */
  #makeRoom(): void {
    const { open } = this.#sql.exec<{ open: number }>("SELECT COUNT(*) AS open FROM device WHERE state = 'open'").one();
    const victim = open < MAX_OPEN ? null : victimIn(this.#sql, "device", "state = 'open'");
    if (victim !== null) this.#sql.exec("DELETE FROM device WHERE rowid = ?", victim);
  }

  /** The open request behind a code that a person typed. */
  async asked(userCode: string, nowMs: number): Promise<DeviceRequest | null> {
    const [row] = this.#sql
      .exec<{ request: string }>(
        "SELECT request FROM device WHERE user_hash = ? AND state = 'open' AND expires_ms > ? AND expires_ms <= ?",
        await hashOf(plain(userCode)),
        nowMs,
        latestEnd(DEVICE_MS, nowMs),
      )
      .toArray();
    return row === undefined ? null : (JSON.parse(row.request) as DeviceRequest); // written by `begin`
  }

  /**
   * Records a person's decision. Answers the request, or `null` if it is unknown, already decided or expired.
   *
   * @param isSignedIn whether the browser in which the person decides still is
   */
  async decide(
    userCode: string,
    person: string,
    allow: boolean,
    isSignedIn: () => boolean,
    nowMs: number,
  ): Promise<DeviceRequest | null> {
    const hash = await hashOf(plain(userCode));
    if (!isSignedIn()) return null;
    const [row] = this.#sql
      .exec<{ request: string }>(
        `UPDATE device SET state = ?, person = ?, request = json_set(request, '$.approvedMs', ?)
         WHERE user_hash = ? AND state = 'open' AND expires_ms > ? AND expires_ms <= ? RETURNING request`,
        allow ? "approved" : "denied",
        person,
        nowMs,
        hash,
        nowMs,
        latestEnd(DEVICE_MS, nowMs),
      )
      .toArray();
    return row === undefined ? null : (JSON.parse(row.request) as DeviceRequest); // written by `begin`
  }

  /** Deletes the requests that a person decided on and that were not redeemed yet. */
  deleteAll(person: string): void {
    this.#sql.exec("DELETE FROM device WHERE person = ?", person);
  }

  /**
   * Answers a device's poll. An approved request is handed out once, and only to the client that began it: another client that
   * learnt the code is told the same as for an unknown code.
   */
  async poll(
    deviceCode: string,
    clientId: string,
    nowMs: number,
  ): Promise<{ error: DevicePoll } | { person: string; request: DeviceRequest }> {
    const hash = await hashOf(deviceCode);
    const [row] = this.#sql.exec<Row>("SELECT * FROM device WHERE device_hash = ?", hash).toArray();
    if (row === undefined || row.expires_ms <= nowMs || row.expires_ms > latestEnd(DEVICE_MS, nowMs))
      return { error: "expired_token" };
    const request = JSON.parse(row.request) as DeviceRequest; // written by `begin`
    if (request.clientId !== clientId) return { error: "expired_token" };
    if (nowMs < row.next_ms) {
      const intervalMs = row.interval_ms + POLL_STEP_MS;
      this.#sql.exec(
        "UPDATE device SET interval_ms = ?, next_ms = ? WHERE device_hash = ?",
        intervalMs,
        nowMs + intervalMs - SLACK_MS,
        hash,
      );
      return { error: "slow_down" };
    }
    if (row.state === "open") {
      this.#sql.exec("UPDATE device SET next_ms = ? WHERE device_hash = ?", nowMs + row.interval_ms - SLACK_MS, hash);
      return { error: "authorization_pending" };
    }
    if (row.state === "redeeming") return { error: "expired_token" };
    if (row.state === "approved" && row.person !== null) {
      this.#sql.exec("UPDATE device SET state = 'redeeming' WHERE device_hash = ?", hash);
      return { person: row.person, request };
    }
    this.#sql.exec("DELETE FROM device WHERE device_hash = ?", hash);
    return { error: "access_denied" };
  }

  /** Whether a request that was handed out was not withdrawn since. */
  async isRedeeming(deviceCode: string): Promise<boolean> {
    const redeeming = "SELECT 1 FROM device WHERE device_hash = ? AND state = 'redeeming'";
    return this.#sql.exec(redeeming, await hashOf(deviceCode)).toArray().length > 0;
  }

  /** The tokens of a request that was handed out could not be issued. It is handed out again. */
  async giveBack(deviceCode: string): Promise<void> {
    this.#sql.exec(
      "UPDATE device SET state = 'approved' WHERE device_hash = ? AND state = 'redeeming'",
      await hashOf(deviceCode),
    );
  }
}

/** Tolerance for network delay: a device that keeps to the interval must not get `slow_down` because a poll arrived a bit early. */
const SLACK_MS = 1_000;

/** The code in its canonical form: people type it in lower case, with or without the hyphen. */
function plain(code: string): string {
  return code.toUpperCase().replaceAll(/[^A-Z]/g, "");
}
