import type { Context } from "hono";
import type { Env } from "../env.ts";
import type { Person } from "./accounts/people.ts";

/**
 * Someone whose browser is signed in. `id` names the browser in the list on the account page. `isFresh`: the person has shown a
 * password or passkey here within the last minutes (session.ts).
 */
export type Session = {
  readonly secret: string;
  readonly person: Person;
  readonly id: string;
  readonly isFresh: boolean;
};

/** The Hono environment of the pages. `session` is set only behind the sign-in check of `/account`. */
export type PageApp = { Bindings: Env; Variables: { session: Session } };
export type PageContext = Context<PageApp>;
