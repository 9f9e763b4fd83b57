import type { Caller } from "./caller.ts";
import type { Env } from "../env.ts";

/** What every route behind sign-in finds in its hono context. */
export type AppContext = { Bindings: Env; Variables: { caller: Caller } };
