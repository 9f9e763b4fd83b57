import type { Env } from "../../env.ts";

/** The one directory of people that an Operator has. */
export function accountsOf(env: Env) {
  return env.ACCOUNTS.getByName("accounts");
}
