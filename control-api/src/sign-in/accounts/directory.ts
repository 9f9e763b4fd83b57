import type { AccountsBindings } from "./accounts-rpc.ts";

/** The directory of people; every Operator has exactly one. */
export function accountsOf(env: AccountsBindings) {
  return env.ACCOUNTS.getByName("accounts");
}
