import type { AccountsBindings } from "./accounts-rpc.ts";

/** The one directory of people that an Operator has. */
export function accountsOf(env: AccountsBindings) {
  return env.ACCOUNTS.getByName("accounts");
}
