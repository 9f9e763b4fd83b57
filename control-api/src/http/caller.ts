import { sha256 } from "#protocol/bytes.ts";
import { mayAct, type Scope } from "./scope.ts";

/** Who is asking, as one of the gates found out. */
export type Caller = {
  /** The user's id. */
  readonly user: string;
  /** What the caller came in with, for the audit log: `loopback`, a token's label, an OAuth client's name. */
  readonly client: string;
  /** The machines this caller may reach; `null` for all of the user's. */
  readonly machines: readonly string[] | null;
  /** What the caller's sign-in allows. */
  readonly scopes: readonly Scope[];
  /** Whether that is more than to read: to call any tool. */
  readonly mayAct: boolean;
};

/** A caller with what follows from the scopes. */
export function callerWith(caller: Omit<Caller, "mayAct">): Caller {
  return { ...caller, mayAct: mayAct(caller.scopes) };
}

/** The operator's own account: whoever set this Operator up. Its machines have plain names. */
export const OWNER = "owner";

const TAG_CHARACTERS = 8;

/** What parts a user's machine scripts from everybody else's of the same name: nothing for the operator's own account. */
export async function tagOf(user: string): Promise<string> {
  if (user === OWNER) return "";
  return Array.from(await sha256(user), (byte) => (byte % 36).toString(36))
    .slice(0, TAG_CHARACTERS)
    .join("");
}
