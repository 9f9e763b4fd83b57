import {
  type AuthenticationResponseJSON,
  generateAuthenticationOptions,
  generateRegistrationOptions,
  type PublicKeyCredentialCreationOptionsJSON,
  type PublicKeyCredentialRequestOptionsJSON,
  type RegistrationResponseJSON,
  verifyAuthenticationResponse,
  verifyRegistrationResponse,
} from "@simplewebauthn/server";
import { base64Url, fromBase64, utf8 } from "#protocol/bytes.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import { columnsOf } from "../../columns.ts";
import type { Challenges } from "./challenges.ts";
import type { Person } from "./people.ts";

/** The WebAuthn relying party. `id` is a domain; an IP address cannot be one (WebAuthn section 5.1.3). */
export type Site = { readonly id: string; readonly origin: string };

/** Characters of a name that a person gives a passkey: enough for a device and where it lies. */
export const PASSKEY_NAME_CHARACTERS = 64;

/** Passkeys of one person: several for each device. Each is sent to the browser that adds another, and shown on the account page. */
export const MAX_PASSKEYS = 50;

/** `name`: the browser that made it, or what its person calls it. Empty for one of an earlier version. */
export type PasskeyRecord = { id: string; name: string; createdMs: number; usedMs: number | null };

type Row = {
  id: string;
  person: string;
  public_key: ArrayBuffer;
  counter: number;
  created_ms: number;
  used_ms: number | null;
  name: string;
};

/** The table of passkeys. It holds public keys only, no secrets. */
export class Passkeys {
  readonly #sql: SqlStorage;
  readonly #challenges: Challenges;

  constructor(sql: SqlStorage, challenges: Challenges) {
    this.#sql = sql;
    this.#challenges = challenges;
    sql.exec(`CREATE TABLE IF NOT EXISTS passkey (
      id TEXT PRIMARY KEY, person TEXT NOT NULL, public_key BLOB NOT NULL, counter INTEGER NOT NULL,
      created_ms INTEGER NOT NULL, used_ms INTEGER, name TEXT NOT NULL DEFAULT '')`);
    // A database of a version in which passkeys have no names.
    if (!columnsOf(sql, "passkey").has("name"))
      sql.exec("ALTER TABLE passkey ADD COLUMN name TEXT NOT NULL DEFAULT ''");
  }

  of(person: string): PasskeyRecord[] {
    return this.#sql
      .exec<Row>("SELECT * FROM passkey WHERE person = ? ORDER BY created_ms", person)
      .toArray()
      .map((row) => ({ id: row.id, name: row.name, createdMs: row.created_ms, usedMs: row.used_ms }));
  }

  /**
   * The options with which a browser creates a passkey. `person` and `context` are stored with the challenge, and `verifyNew` answers
   * them from there: a browser cannot claim that a passkey belongs to somebody else.
   */
  async creationOptions(
    person: Person,
    site: Site,
    context: string,
    nowMs: number,
  ): Promise<PublicKeyCredentialCreationOptionsJSON> {
    const options = await generateRegistrationOptions({
      rpName: "Operator",
      rpID: site.id,
      userName: person.name,
      userID: Uint8Array.from(new TextEncoder().encode(person.id)),
      excludeCredentials: this.of(person.id).map(({ id }) => ({ id })),
      // A discoverable credential needs no user name. The passkey is the only factor, so the device must verify the person
      // (fingerprint, face or PIN); otherwise anyone who holds the unlocked device could sign in.
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
    });
    await this.#challenges.put(options.challenge, "create", JSON.stringify({ person, context }), nowMs);
    return options;
  }

  /**
   * Verifies a new passkey without storing it, and refuses one that somebody has already. The caller checks `person` and `context` first, and
   * then calls `keep`.
   */
  async verifyNew(
    response: RegistrationResponseJSON,
    site: Site,
    nowMs: number,
  ): Promise<{ person: Person; context: string; keep: (name: string) => void } | null> {
    let found: { person: Person; context: string } | null = null;
    const verified = await verifyRegistrationResponse({
      response,
      expectedOrigin: site.origin,
      expectedRPID: site.id,
      expectedChallenge: async (challenge) => {
        const data = await this.#challenges.spend(challenge, "create", nowMs);
        found = data === null ? null : JSON.parse(data);
        return found !== null;
      },
    }).catch(refused);
    if (found === null || verified?.verified !== true || isInFrame(response.response.clientDataJSON)) return null;
    const { person, context }: { person: Person; context: string } = found;
    const { id, publicKey, counter } = verified.registrationInfo.credential;
    if (this.#sql.exec("SELECT 1 FROM passkey WHERE id = ?", id).toArray().length > 0) return null;
    const keep = (name: string) =>
      void this.#sql.exec(
        "INSERT INTO passkey (id, person, public_key, counter, created_ms, name) VALUES (?, ?, ?, ?, ?, ?)",
        id,
        person.id,
        publicKey,
        counter,
        nowMs,
        name,
      );
    return { person, context, keep };
  }

  async requestOptions(site: Site, nowMs: number): Promise<PublicKeyCredentialRequestOptionsJSON> {
    const options = await generateAuthenticationOptions({ rpID: site.id, userVerification: "required" });
    await this.#challenges.put(options.challenge, "get", "", nowMs);
    return options;
  }

  /**
   * The id of the person whose passkey signed, or `null`. The library refuses a counter that did not grow, which is the sign of a
   * cloned authenticator (WebAuthn section 6.1.1), so the new counter is stored.
   *
   * The passkey itself says whose it is, since nobody has entered a name (section 7.2 step 6). What it says was given to it by `creationOptions`.
   */
  async verify(response: AuthenticationResponseJSON, site: Site, nowMs: number): Promise<string | null> {
    const [row] = this.#sql.exec<Row>("SELECT * FROM passkey WHERE id = ?", response.id).toArray();
    if (row === undefined) return null;
    const verified = await verifyAuthenticationResponse({
      response,
      expectedOrigin: site.origin,
      expectedRPID: site.id,
      expectedChallenge: async (challenge) => (await this.#challenges.spend(challenge, "get", nowMs)) !== null,
      credential: { id: row.id, publicKey: new Uint8Array(row.public_key), counter: row.counter },
    }).catch(refused);
    if (verified?.verified !== true || isInFrame(response.response.clientDataJSON)) return null;
    if (response.response.userHandle !== base64Url(utf8(row.person))) return null;
    const { newCounter } = verified.authenticationInfo;
    // It may have been deleted while its signature was being verified.
    const [kept] = this.#sql
      .exec<Pick<Row, "person">>(
        "UPDATE passkey SET counter = ?, used_ms = ? WHERE id = ? RETURNING person",
        newCounter,
        nowMs,
        row.id,
      )
      .toArray();
    return kept?.person ?? null;
  }

  rename(person: string, id: string, name: string): boolean {
    return this.#sql.exec("UPDATE passkey SET name = ? WHERE person = ? AND id = ?", name, person, id).rowsWritten > 0;
  }

  delete(person: string, id: string): boolean {
    return this.#sql.exec("DELETE FROM passkey WHERE person = ? AND id = ?", person, id).rowsWritten > 0;
  }

  deleteAll(person: string): void {
    this.#sql.exec("DELETE FROM passkey WHERE person = ?", person);
  }
}

/**
 * Whether a passkey was used in a frame within a page of another site (WebAuthn section 7.1 step 10 and 7.2 step 13), which none of our pages can be
 * in. The library refuses it only if the browser says whose page that is, and not every browser does.
 */
function isInFrame(clientData: string): boolean {
  const said = parseJson(new TextDecoder().decode(fromBase64(clientData)));
  return isRecord(said) && said["crossOrigin"] === true;
}

/** The library throws for anything that is wrong with a response. The sender is told only that it was refused. */
function refused(reason: unknown): null {
  console.warn("a passkey was refused", { reason: reason instanceof Error ? reason.message : String(reason) });
  return null;
}
