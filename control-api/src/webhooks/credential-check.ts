import { noteWithin } from "#protocol/keep-within.ts";
import type { Env } from "../env.ts";
import type { Bearer, Sight } from "../http/caller.ts";
import { accountsOf } from "../sign-in/accounts/directory.ts";
import { grantsOf } from "../sign-in/grants.ts";
import { registryOf } from "../user/user-rpc.ts";
import { CREDENTIAL_CHECK_MS } from "./limits.ts";

/** Credentials whose answers are in memory: more than a person has subscriptions. Those of deleted ones stay until they make room. */
const REMEMBERED = 1_000;

/** Whether the grants, tokens and signed-in browsers that subscriptions were made with are still valid. Answers are used again for a minute. */
export class CredentialCheck {
  readonly #env: Env;
  readonly #user: () => string;
  readonly #known = new Map<Bearer, { readonly sight: Promise<Sight | null>; readonly atMs: number }>();

  constructor(env: Env, user: () => string) {
    this.#env = env;
    this.#user = user;
  }

  /** Something was revoked: every credential is looked up again. */
  forget(): void {
    this.#known.clear();
  }

  /** What a credential shows, or `null` if it is no longer valid. Throws if that could not be found out. */
  async sightOf(credential: Bearer | null, nowMs: number): Promise<Sight | null> {
    if (credential === null) return { machines: null };
    const known = this.#known.get(credential);
    if (known !== undefined && nowMs - known.atMs < CREDENTIAL_CHECK_MS) return known.sight;
    const sight = this.#lookUp(credential, nowMs);
    noteWithin(this.#known, REMEMBERED, credential, { sight, atMs: nowMs });
    // A look-up that failed says nothing, so the next caller tries again.
    sight.catch(() => this.#known.delete(credential));
    return sight;
  }

  async #lookUp(credential: Bearer, nowMs: number): Promise<Sight | null> {
    const user = this.#user();
    const id = credential.slice(credential.indexOf(":") + 1);
    const isValid = ({ expiresMs }: { expiresMs: number | null }): boolean => expiresMs === null || expiresMs > nowMs;
    if (credential.startsWith("token:")) return registryOf(this.#env, user).tokenSight(id);
    if (credential.startsWith("browser:")) {
      const browsers: { id: string }[] = await accountsOf(this.#env).sessions(user);
      return browsers.some((browser) => browser.id === id) ? { machines: null } : null;
    }
    const grant = (await grantsOf(user, this.#env)).find((one) => one.id === id && isValid(one));
    return grant === undefined ? null : { machines: grant.machines };
  }
}
