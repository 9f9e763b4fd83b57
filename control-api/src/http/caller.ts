import { sha256 } from "#protocol/bytes.ts";
import { mayAct, type Scope } from "./scope.ts";

/** A grant or a personal access token, by its id. */
export type Credential = `grant:${string}` | `token:${string}`;

/** A browser that somebody is signed in with, by the id in their list. */
export type BrowserCredential = `browser:${string}`;

/** What a caller was let in with, and may have lost when something is written for them. */
export type Bearer = Credential | BrowserCredential;

/** What a valid credential lets its bearer see: identities of computers, whatever their names are, or `null` for all. */
export type Sight = { readonly machines: readonly string[] | null };

/** An authenticated caller. */
export type Caller = {
  /** The user's id. */
  readonly user: string;
  /** How the caller authenticated, for the audit log: `loopback`, a token's label or an OAuth client's name. */
  readonly client: string;
  /** The machines this caller may reach, by their names when it was let in; `null` for all of the user's. */
  readonly machines: readonly string[] | null;
  /**
   * The identities of their computers, by which what a caller may see is looked up: the moment after it was let in, one of the names may be
   * another computer's.
   */
  readonly computers: readonly string[] | null;
  /** The grant or token that the caller came in with, so that what they make can end with it. */
  readonly credential?: Credential;
  /**
   * Until when the caller counts as freshly signed in (sign-in/fresh.ts), milliseconds since 1970. For an app: a quarter of an hour
   * after its person allowed it. 0 for a personal access token, behind which there need not be a person.
   */
  readonly freshUntilMs: number;
  /** The owner, by the token that a local start writes to a file on the owner's computer. */
  readonly isLocal?: true;
  /** The scopes of the caller's token. */
  readonly scopes: readonly Scope[];
  /** Whether the scopes allow tools that do more than read. */
  readonly mayAct: boolean;
};

/** The answer to a personal access token: its caller, `null` if it is not valid, or that its calls of this day are used up. */
export type TokenAnswer = Caller | { readonly spent: SpentBudget } | null;

/** `isTold`: its person must be notified now. */
type SpentBudget = {
  readonly perDay: number;
  readonly afterMs: number;
  readonly label: string;
  readonly isTold: boolean;
};

/** Whether a person has signed in recently for this caller. */
export function isFresh({ freshUntilMs }: Caller): boolean {
  return Date.now() < freshUntilMs;
}

/** Whether a caller may see a computer. */
export function sees({ computers }: Pick<Caller, "computers">, { identity }: { readonly identity: string }): boolean {
  return computers?.includes(identity) ?? true;
}

/** Adds to a caller what follows from the scopes. */
export function callerWith(caller: Omit<Caller, "mayAct">): Caller {
  return { ...caller, mayAct: mayAct(caller.scopes) };
}

/** The account of the person who set this Operator up. The slugs of its machines have no tag. */
export const OWNER = "owner";

const TAG_CHARACTERS = 8;

/** The tag in the slugs of a user's machines, which keeps users' names apart. Empty for the operator's own account. */
export async function tagOf(user: string): Promise<string> {
  if (user === OWNER) return "";
  return Array.from(await sha256(user), (byte) => (byte % 36).toString(36))
    .slice(0, TAG_CHARACTERS)
    .join("");
}
