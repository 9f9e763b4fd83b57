import { OWNER } from "../../http/caller.ts";
import { countedUnder } from "../address.ts";
import { hashOf, isSame, randomLetters } from "../secret.ts";
import type { Denied } from "./denied.ts";
import { type Invites, plainCode } from "./invites.ts";
import type { Limit, Limits } from "./limits.ts";
import { type People, type Person, newPersonName } from "./people.ts";
import type { Settings } from "./settings.ts";

/** Attempts at claim and invitation codes from one address. A code has 100 bits, so this only limits the load. */
const CODE_HERE: Limit = { times: 10, windowMs: 15 * 60_000 };

const ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789";
/** 80 random bits, so that nobody can find users by counting through their ids. */
const ID_LETTERS = 16;

export type ClaimBindings = {
  /** A secret: anyone who presents it becomes the owner. If it is not set, nobody can. */
  readonly CLAIM_CODE?: string;
};

/** Opens accounts: the owner's with the claim code, other users' with an invitation. Each code works once. */
export class Enrolment {
  readonly #claimCode: string;
  readonly #people: People;
  readonly #invites: Invites;
  readonly #limits: Limits;
  readonly #settings: Settings;
  readonly #voidOwner: () => Promise<void>;
  readonly #endOwnerAccess: () => Promise<void>;

  /**
   * When the owner's account is claimed again, everybody who had access to it loses it.
   *
   * @param voidOwner deletes the account's passkeys and sessions
   * @param endOwnerAccess revokes its tokens and grants, and what was approved or issued in its name
   */
  constructor(
    claimCode: string,
    people: People,
    invites: Invites,
    limits: Limits,
    settings: Settings,
    voidOwner: () => Promise<void>,
    endOwnerAccess: () => Promise<void>,
  ) {
    this.#claimCode = claimCode;
    this.#people = people;
    this.#invites = invites;
    this.#limits = limits;
    this.#settings = settings;
    this.#voidOwner = voidOwner;
    this.#endOwnerAccess = endOwnerAccess;
  }

  async isClaimable(): Promise<boolean> {
    const code = plainCode(this.#claimCode);
    return code !== "" && this.#settings.get("claimed_with") !== (await hashOf(code));
  }

  /** Checks a code and a name, and answers the person that `open` would create with them. Does not use the code up. */
  async personFor(code: string, name: string, address: string, nowMs: number): Promise<Person | Denied> {
    const counted = countedUnder("code", address, CODE_HERE);
    const afterMs = this.#limits.takeAll(counted, nowMs);
    if (afterMs > 0) return { denied: "slow_down", afterMs };
    const isClaim = await this.#isClaim(code);
    if (!isClaim && !(await this.#invites.isOpen(code, nowMs))) return { denied: "code_wrong" };
    for (const [key] of counted) this.#limits.giveBack(key);
    const kept = newPersonName(name);
    if (kept === null) return { denied: "name_invalid" };
    const id = isClaim ? OWNER : `u-${randomLetters(ID_ALPHABET, ID_LETTERS)}`;
    return this.#isTaken(kept, id) ? { denied: "name_taken" } : { id, name: kept };
  }

  /** Uses the code up and creates the account. */
  async open(person: Person, password: string | null, code: string, nowMs: number): Promise<Denied | null> {
    if (this.#isTaken(person.name, person.id)) return { denied: "name_taken" };
    const isOwner = person.id === OWNER;
    const [shown, claim] = await Promise.all([hashOf(plainCode(code)), hashOf(plainCode(this.#claimCode))]);
    if (!isOwner && !(await this.#invites.spend(code, nowMs))) return { denied: "code_wrong" };
    // First, and not afterwards: if it fails, the code can be used again. An Operator that is claimed for the first time has
    // nothing to revoke but what its owner made on this computer before.
    const isReclaim = isOwner && isSame(shown, claim) && this.#settings.get("claimed_with") !== null;
    if (isReclaim && this.#settings.get("claimed_with") !== claim) {
      // Revoking takes a while. Whoever is signed in, or can sign in, could meanwhile make again what is revoked already.
      this.#people.setPassword(person.id, null);
      await this.#voidOwner();
      await this.#endOwnerAccess();
    }
    // There is no `await` from here until the person is stored, so two requests with one code or one name cannot interleave.
    if (this.#isTaken(person.name, person.id)) return { denied: "name_taken" };
    if (isOwner) {
      if (this.#claimCode === "" || !isSame(shown, claim) || this.#settings.get("claimed_with") === claim)
        return { denied: "code_wrong" };
      this.#settings.put("claimed_with", claim);
    }
    this.#people.put(person, password, nowMs);
    if (isOwner) await this.#voidOwner();
    return null;
  }

  /** Whether somebody else has a name. */
  #isTaken(name: string, id: string): boolean {
    const namesake = this.#people.named(name);
    return namesake !== null && namesake.person.id !== id;
  }

  async #isClaim(code: string): Promise<boolean> {
    if (!(await this.isClaimable())) return false;
    return isSame(await hashOf(plainCode(code)), await hashOf(plainCode(this.#claimCode)));
  }
}
