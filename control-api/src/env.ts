import type { Accounts } from "./sign-in/accounts/accounts.ts";
import type { User } from "./user/user.ts";

/** The control API's bindings. */
export type Env = {
  /** The dispatch Worker. */
  readonly DISPATCHER: Fetcher;
  /** One Agent per user: the registry of that user's machines. */
  readonly USER: DurableObjectNamespace<User>;
  /** One object: the directory of people. */
  readonly ACCOUNTS: DurableObjectNamespace<Accounts>;
  /** OAuth clients, grants and tokens; the layout is the OAuth library's. */
  readonly OAUTH_KV: KVNamespace;
  /** Shown to the dispatch Worker. */
  readonly DISPATCH_SECRET: string;
  /** Key of the report keys that machine scripts are given. */
  readonly REPORT_SECRET: string;
  /** The apex under which every machine has a host of its own. */
  readonly DOMAIN: string;
  /** The apex's own origin, as clients reach it. */
  readonly ORIGIN: string;
  /** Cloudflare's API, or the local platform's. */
  readonly CLOUDFLARE_API_URL: string;
  readonly CLOUDFLARE_API_TOKEN: string;
  readonly CLOUDFLARE_ACCOUNT_ID: string;
  readonly DISPATCH_NAMESPACE: string;
  /** On one computer only: the user that callers from that computer are, without a token. */
  readonly LOOPBACK_OWNER?: string;
  /** Whoever shows it becomes the owner; a secret. Without it nobody can. */
  readonly CLAIM_CODE?: string;
  /** An MCPAuthKit instance that signs people in instead of us, and whom of its people to let in (sign-in/authkit/). */
  readonly AUTHKIT_URL?: string;
  readonly AUTHKIT_ALLOW?: string;
};
