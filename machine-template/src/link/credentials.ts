import { hex, sha256, utf8 } from "#protocol/bytes.ts";
import { fingerprintOf } from "#protocol/link-key.ts";
import { expiryOf, LINK_TOKEN_LIFE_MS, LINK_TOKEN_RENEWAL_MS, makeLinkToken } from "#protocol/link-token.ts";
import { LinkEventType } from "#protocol/event.ts";
import {
  type AcceptedToken,
  type CredentialChange,
  type KeyRefusal,
  LinkCredentials,
  type LinkHolder,
  type LinkStatus,
} from "#protocol/script-api.ts";
import { linkTokenIn } from "../link-token.ts";

export type CredentialBindings = {
  /** Distinguishes the machine's computer from another of the same name. */
  readonly IDENTITY?: string;
  /** SHA-256 of the link token, hex. */
  readonly LINK_TOKEN_HASH: string;
  /** When that token was issued, in milliseconds since 1970. Scripts from before 0.3 do not have this and the next two. */
  readonly LINK_ISSUED_MS?: string;
  /** The public key that was registered with it, or nothing. */
  readonly LINK_KEY?: string;
  /** Key of the macs in link tokens (`#protocol/link-token.ts`). */
  readonly LINK_SECRET?: string;
};

/** A takeover, or a change of the key, can be undone for this long. */
const UNDO_MS = 30 * 24 * 60 * 60_000;

/**
 * Holders that can be gone back to, `earlier` and `older` together. Whoever took a name over with a stolen sign-in could do so twice,
 * so that undoing it would lead back to themselves. When there are more, those in the middle go: the first one is the computer that
 * had the name before any of this.
 */
const MAX_FORMER = 8;

/** At most one event about refused keys in this time. Whoever holds a copied token could otherwise fill the log with them. */
const ANNOUNCE_AGAIN_MS = 10 * 60_000;

/** At most one renewal in this time, in case that the connector cannot save the new token and keeps dialling with the old one. */
const RENEW_AGAIN_MS = 24 * 60 * 60_000;

/** Tokens accepted at once: the current one, and renewals that the connector has not dialled with yet. */
const MAX_TOKENS = 4;

const KEY = "link-credentials";

/** The credentials with which a dial was admitted. */
export type Shown = { readonly tokenHash: string; readonly key: string | null };

/** Why a dial whose token was accepted does not become the link. */
export type Refusal = "token_replaced" | "no_key" | "wrong_key";

/** The reason of a refusal, as the connector shows it to its person. */
export function refusalText(refusal: Refusal): string {
  switch (refusal) {
    case "token_replaced":
      return "this machine's token was replaced";
    case "no_key":
      return "this machine's link is bound to a key, and this codez has none; the codez that its Operator serves has";
    case "wrong_key":
      return "this machine's link is bound to the key of another computer, or to an earlier key of this one";
  }
}

/** The event that reports a change: its type and data. */
export type Announce = (type: LinkEventType, data: Record<string, unknown>) => void;

/**
 * Which tokens and which key the machine's link accepts.
 *
 * The control API issues tokens and registers keys. On Cloudflare the bindings of an upload may take minutes to reach a running
 * script, so the control API also tells the object, before the upload. Both say when the credentials were issued, and the later
 * one counts: the object's own record normally, the bindings if the object could not be told.
 *
 * A link without a key is bound to the first key that is shown with its token. From then on a dial needs both.
 */
export class Credentials {
  readonly #storage: SyncKvStorage;
  readonly #env: CredentialBindings;
  readonly #announce: Announce;
  #record: LinkCredentials;
  #isStored = false;
  #refusals = 0;
  #announcedMs = -Infinity;
  #renewedMs = -Infinity;
  /** Fingerprint of the bound key, kept because computing it is asynchronous. */
  #fingerprint: { key: string; text: string } | null = null;

  constructor(storage: SyncKvStorage, env: CredentialBindings, announce: Announce) {
    this.#storage = storage;
    this.#env = env;
    this.#announce = announce;
    this.#record = this.#load();
  }

  /** Everything, for the control API. */
  get record(): LinkCredentials {
    return this.#record;
  }

  /** The hash of the token in an `Authorization` header; `null` if it is not accepted, or no longer. */
  async accepted(authorization: string | null, nowMs: number): Promise<string | null> {
    const token = linkTokenIn(authorization);
    if (token === null) return null;
    const expiresMs = expiryOf(token);
    if (expiresMs !== null && expiresMs <= nowMs) return null;
    const hash = hex(await sha256(token));
    const found = this.#record.tokens.find((accepted) => isEqual(accepted.hash, hash));
    if (found === undefined) return null;
    // The bindings hold only the hash of a token, so its expiry is learnt when it is first shown.
    found.expiresMs ??= expiresMs;
    return hash;
  }

  /** Whether a dial may become the link. `key` is proven. Returns why not, or `null`. */
  refusalOf({ tokenHash, key }: Shown): Refusal | null {
    if (!this.#record.tokens.some(({ hash }) => hash === tokenHash)) return "token_replaced";
    if (this.#record.key === null || this.#record.key === key) return null;
    return key === null ? "no_key" : "wrong_key";
  }

  /** Notes that a dial was refused for its key. */
  async refuse(key: string | null, nowMs: number): Promise<void> {
    this.#refusals += 1;
    if (nowMs - this.#announcedMs < ANNOUNCE_AGAIN_MS) return;
    this.#announcedMs = nowMs;
    const refused: KeyRefusal = {
      count: (this.#record.refused?.count ?? 0) + this.#refusals,
      lastMs: nowMs,
      key: key === null ? null : await fingerprintOf(key),
    };
    this.#refusals = 0;
    this.#write({ ...this.#record, refused });
    this.#announce(LinkEventType.KEY_REFUSED, refused);
  }

  /** Notes that a dial has become the link. Tokens older than the one it showed are no longer accepted, and its key is bound. */
  async welcome({ tokenHash, key }: Shown): Promise<void> {
    const { tokens, key: bound } = this.#record;
    const at = tokens.findIndex(({ hash }) => hash === tokenHash);
    const isFirst = bound === null && key !== null;
    if (at > 0 || isFirst || !this.#isStored)
      this.#write({ ...this.#record, tokens: tokens.slice(Math.max(at, 0)), key: bound ?? key });
    await this.fingerprint();
    if (isFirst) this.#announce(LinkEventType.KEY_BOUND, { key: this.status(0).key });
  }

  /**
   * A new token, if the one that the link was opened with expires soon or never. `null` otherwise, and for a connector without a
   * key, which is too old to understand the answer.
   */
  async renewal({ tokenHash, key }: Shown, nowMs: number): Promise<string | null> {
    const { LINK_SECRET: secret } = this.#env;
    const { tokens } = this.#record;
    const shown = tokens.find(({ hash }) => hash === tokenHash);
    if (key === null || secret === undefined || shown === undefined) return null;
    const leftMs = shown.expiresMs === null ? 0 : shown.expiresMs - nowMs;
    if (leftMs > LINK_TOKEN_RENEWAL_MS && leftMs <= LINK_TOKEN_LIFE_MS) return null; // longer: issued to an older codez
    if (nowMs - this.#renewedMs < RENEW_AGAIN_MS) return null;
    this.#renewedMs = nowMs;
    const token = await makeLinkToken(secret, nowMs + LINK_TOKEN_LIFE_MS);
    const renewed: AcceptedToken = { hash: hex(await sha256(token)), expiresMs: expiryOf(token) };
    // Read again: the control API may have issued a token in the meantime, and this one would then be of the old kind.
    const now = this.#record.tokens;
    if (!now.some(({ hash }) => hash === tokenHash)) return null;
    const others = now.filter(({ hash }) => hash !== tokenHash).slice(-(MAX_TOKENS - 2));
    const kept = now.filter(({ hash }) => hash === tokenHash);
    this.#write({ ...this.#record, tokens: [...kept, ...others, renewed] });
    return token;
  }

  /** Applies what the control API says. */
  async change(change: CredentialChange, nowMs: number): Promise<LinkCredentials> {
    const record = this.#record;
    switch (change.change) {
      case "move":
        this.#write(change.credentials);
        break;
      case "issue": {
        if (change.issuedMs < record.issuedMs) break;
        const isSame = change.identity === record.identity || record.identity === "";
        const key = change.key ?? (isSame ? record.key : null);
        const holder = { identity: change.identity, tokens: [change.token], key };
        await this.#pass(holder, change.issuedMs, isSame, nowMs);
        break;
      }
      case "rebind":
        if (change.issuedMs < record.issuedMs || record.key === null || record.key === change.key) break;
        await this.#pass({ ...holderOf(record), key: change.key }, change.issuedMs, true, nowMs);
        break;
      case "restore": {
        const earlier = this.#earlier(nowMs);
        if (earlier === null || change.issuedMs < record.issuedMs) break;
        // The other computer is not kept in turn: its notice would tell the person to undo what they have just done.
        const [before = null, ...older] = record.older ?? [];
        this.#write({ ...holderOf(earlier), issuedMs: change.issuedMs, refused: null, earlier: before, older });
        await this.fingerprint();
        this.#announce(LinkEventType.RESTORED, { key: this.status(nowMs).key });
        break;
      }
    }
    await this.fingerprint();
    return this.#record;
  }

  status(nowMs: number): LinkStatus {
    const { key, tokens, refused } = this.#record;
    const text = this.#fingerprint?.key === key ? this.#fingerprint?.text : undefined;
    return {
      key: key === null ? null : (text ?? ""),
      tokenExpiresMs: tokens.at(-1)?.expiresMs ?? null,
      refused: refused === null ? null : { ...refused, count: refused.count + this.#refusals },
      takenOverMs: this.#earlier(nowMs)?.replacedMs ?? null,
    };
  }

  /** Computes the bound key's fingerprint, which `status` shows. */
  async fingerprint(): Promise<void> {
    const { key } = this.#record;
    if (key !== null && this.#fingerprint?.key !== key) this.#fingerprint = { key, text: await fingerprintOf(key) };
  }

  /** Makes `holder` the one that the link accepts. The one before is kept, if it was another computer or had another key. */
  async #pass(holder: LinkHolder, issuedMs: number, isSame: boolean, nowMs: number): Promise<void> {
    const before = this.#record;
    const isKeyChange = isSame && before.key !== null && before.key !== holder.key;
    const former = !isSame || isKeyChange ? formerOf(before, nowMs) : { earlier: before.earlier, older: before.older };
    this.#write({ ...holder, issuedMs, refused: null, ...former });
    if (isSame && !isKeyChange) return;
    const data = { key: holder.key === null ? null : await fingerprintOf(holder.key) };
    this.#announce(isSame ? LinkEventType.KEY_CHANGED : LinkEventType.TAKEN_OVER, data);
  }

  #earlier(nowMs: number): LinkCredentials["earlier"] {
    const { earlier } = this.#record;
    return earlier !== null && nowMs - earlier.replacedMs < UNDO_MS ? earlier : null;
  }

  #load(): LinkCredentials {
    const stored = LinkCredentials.safeParse(this.#storage.get(KEY)).data ?? null;
    const { IDENTITY, LINK_TOKEN_HASH, LINK_ISSUED_MS, LINK_KEY } = this.#env;
    const issuedMs = Number(LINK_ISSUED_MS ?? 0);
    if (stored !== null && stored.issuedMs >= issuedMs) {
      this.#isStored = true;
      return stored;
    }
    const identity = IDENTITY ?? "";
    const isSame = stored === null || stored.identity === identity;
    const key = LINK_KEY || (isSame ? (stored?.key ?? null) : null);
    const kept = { earlier: stored?.earlier ?? null, older: stored?.older };
    const former = isSame ? kept : formerOf(stored, issuedMs);
    return { identity, tokens: [{ hash: LINK_TOKEN_HASH, expiresMs: null }], key, issuedMs, refused: null, ...former };
  }

  #write(record: LinkCredentials): void {
    this.#record = record;
    this.#isStored = true;
    this.#storage.put(KEY, record);
  }
}

function holderOf({ identity, tokens, key }: LinkHolder): LinkHolder {
  return { identity, tokens, key };
}

/** What is kept when `record`'s holder is replaced: that holder, and those before it that can still be gone back to. */
function formerOf(record: LinkCredentials, nowMs: number): Pick<LinkCredentials, "earlier" | "older"> {
  const before = record.earlier === null ? [] : [record.earlier, ...(record.older ?? [])];
  const older = before.filter(({ replacedMs }) => nowMs - replacedMs < UNDO_MS);
  const [first] = older.slice(-1);
  const kept = older.length < MAX_FORMER || first === undefined ? older : [...older.slice(0, MAX_FORMER - 2), first];
  return { earlier: { ...holderOf(record), replacedMs: nowMs }, older: kept };
}

/** Compares in constant time. */
function isEqual(one: string, other: string): boolean {
  return one.length === other.length && crypto.subtle.timingSafeEqual(utf8(one), utf8(other));
}
