import type { Context } from "hono";
import type { Env } from "../env.ts";
import type { Person } from "./accounts/people.ts";

/** Someone whose browser is signed in. */
export type Session = { readonly secret: string; readonly person: Person };

/** What the handlers of pages find; `session` behind the check of `/account` only. */
export type PageApp = { Bindings: Env; Variables: { session: Session } };
export type PageContext = Context<PageApp>;
