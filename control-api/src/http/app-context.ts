import type { Caller } from "./caller.ts";
import type { Env } from "../env.ts";

/** The hono context of every route behind sign-in. */
export type AppContext = { Bindings: Env; Variables: { caller: Caller } };
