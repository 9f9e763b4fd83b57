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
import type { Challenges } from "./challenges.ts";
import type { Person } from "./people.ts";

/** The site that passkeys are for. `id` is a domain; an address such as 127.0.0.1 can have none (WebAuthn section 5.1.3). */
export type Site = { readonly id: string; readonly origin: string };

export type PasskeyRecord = { id: string; createdMs: number; usedMs: number | null };

type Row = {
  id: string;
  person: string;
  public_key: ArrayBuffer;
  counter: number;
  created_ms: number;
  used_ms: number | null;
};

/** The table of passkeys: public keys, which are no secret. */
export class Passkeys {
  readonly #sql: SqlStorage;
  readonly #challenges: Challenges;

  constructor(sql: SqlStorage, challenges: Challenges) {
    this.#sql = sql;
    this.#challenges = challenges;
    sql.exec(`CREATE TABLE IF NOT EXISTS passkey (
      id TEXT PRIMARY KEY, person TEXT NOT NULL, public_key BLOB NOT NULL, counter INTEGER NOT NULL,
      created_ms INTEGER NOT NULL, used_ms INTEGER)`);
  }

  of(person: string): PasskeyRecord[] {
    return this.#sql
      .exec<Row>("SELECT * FROM passkey WHERE person = ? ORDER BY created_ms", person)
      .toArray()
      .map((row) => ({ id: row.id, createdMs: row.created_ms, usedMs: row.used_ms }));
  }

  /** What a browser needs to make a passkey. `context` comes back from `register`, and only with this very challenge. */
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
      // Found without a name typed, and opened by a finger or a PIN: it is the only thing asked for.
      authenticatorSelection: { residentKey: "required", userVerification: "required" },
    });
    await this.#challenges.put(options.challenge, "create", JSON.stringify({ person, context }), nowMs);
    return options;
  }

  /** Checks a new passkey. It is not kept yet: whose it is to be is for the caller to decide, by `context`. */
  async verifyNew(
    response: RegistrationResponseJSON,
    site: Site,
    nowMs: number,
  ): Promise<{ person: Person; context: string; keep: () => void } | null> {
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
    if (found === null || verified?.verified !== true) return null;
    const { person, context }: { person: Person; context: string } = found;
    const { id, publicKey, counter } = verified.registrationInfo.credential;
    const keep = () =>
      void this.#sql.exec("INSERT INTO passkey VALUES (?, ?, ?, ?, ?, NULL)", id, person.id, publicKey, counter, nowMs);
    return { person, context, keep };
  }

  async requestOptions(site: Site, nowMs: number): Promise<PublicKeyCredentialRequestOptionsJSON> {
    const options = await generateAuthenticationOptions({ rpID: site.id, userVerification: "required" });
    await this.#challenges.put(options.challenge, "get", "", nowMs);
    return options;
  }

  /** The id of the person whose passkey signed, or `null`. */
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
    if (verified?.verified !== true) return null;
    const { newCounter } = verified.authenticationInfo;
    this.#sql.exec("UPDATE passkey SET counter = ?, used_ms = ? WHERE id = ?", newCounter, nowMs, row.id);
    return row.person;
  }

  delete(person: string, id: string): boolean {
    return this.#sql.exec("DELETE FROM passkey WHERE person = ? AND id = ?", person, id).rowsWritten > 0;
  }

  deleteAll(person: string): void {
    this.#sql.exec("DELETE FROM passkey WHERE person = ?", person);
  }
}

/** The library throws for anything that is wrong with a response. The sender is told only that it was refused. */
function refused(reason: unknown): null {
  console.warn("a passkey was refused", { reason: reason instanceof Error ? reason.message : String(reason) });
  return null;
}
