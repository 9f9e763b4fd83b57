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

/**
 * The Hono environment of the pages. Both variables are set only behind the sign-in check (signed-in.ts). `waiting`: how many requests
 * wait for the person, which the navigation of every page says. It is read while the page reads its own.
 */
export type PageApp = { Bindings: Env; Variables: { session: Session; waiting: Promise<number> } };
export type PageContext = Context<PageApp>;
