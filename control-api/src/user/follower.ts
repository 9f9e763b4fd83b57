/** Storage key: whether the user's webhooks want to be told. */
const FOLLOWED_KEY = "followed";

/** Attempts to tell, and the pause between them. An object that is restarted by a deployment is back within seconds. Milliseconds. */
const TRIES = 4;
const TRY_AGAIN_MS = 1_000;

/** A machine has another name now: the computer of this identity, which is `""` if nobody knows it. */
export type Renamed = { readonly from: string; readonly to: string; readonly identity: string };

type News = { readonly hasRevoked: boolean; readonly renamed: readonly Renamed[] };

type FollowerBindings = {
  /** The user's object for webhooks (webhooks/webhooks.ts). */
  readonly WEBHOOKS: {
    getByName(user: string): { wake(hasRevoked: boolean, renamed: readonly Renamed[]): Promise<void> };
  };
};

/**
 * Tells a user's webhooks that there is something new. Without any, nobody is told, so that a user without webhooks costs nothing. While
 * one message is under way all further news are gathered into the next.
 */
export class Follower {
  readonly #ctx: DurableObjectState;
  readonly #env: FollowerBindings;
  readonly #user: () => string;
  #isFollowed: boolean;
  #waiting: News | null = null;
  #isTelling = false;

  constructor(ctx: DurableObjectState, env: FollowerBindings, user: () => string) {
    this.#ctx = ctx;
    this.#env = env;
    this.#user = user;
    this.#isFollowed = ctx.storage.kv.get(FOLLOWED_KEY) === true;
  }

  follow(isFollowed: boolean): void {
    if (isFollowed) this.#ctx.storage.kv.put(FOLLOWED_KEY, true);
    else this.#ctx.storage.kv.delete(FOLLOWED_KEY);
    this.#isFollowed = isFollowed;
  }

  /** There is something new in the log, a grant or token was revoked, or machines were renamed. */
  tell(hasRevoked: boolean, renamed: readonly Renamed[] = []): void {
    if (!this.#isFollowed) return;
    const before = this.#waiting ?? { hasRevoked: false, renamed: [] };
    this.#waiting = { hasRevoked: hasRevoked || before.hasRevoked, renamed: [...before.renamed, ...renamed] };
    if (!this.#isTelling) this.#ctx.waitUntil(this.#tellAll());
  }

  async #tellAll(): Promise<void> {
    this.#isTelling = true;
    try {
      while (this.#waiting !== null) {
        const news = this.#waiting;
        this.#waiting = null;
        await this.#tellOnce(news);
      }
    } finally {
      this.#isTelling = false;
    }
  }

  async #tellOnce({ hasRevoked, renamed }: News): Promise<void> {
    for (let tries = 1; ; tries += 1)
      try {
        return await this.#env.WEBHOOKS.getByName(this.#user()).wake(hasRevoked, renamed);
      } catch (reason) {
        console.warn("webhooks could not be told of news", { tries, reason: String(reason) });
        if (tries === TRIES) return; // they look for themselves from time to time
        await scheduler.wait(TRY_AGAIN_MS);
      }
  }
}
