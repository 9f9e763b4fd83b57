import type { AddressBindings } from "./http/host.ts";
import type { LoopbackBindings } from "./http/loopback.ts";
import type { ProvisioningBindings } from "./machines/provisioning.ts";
import type { DispatchBindings } from "./machines/script-client.ts";
import type { AccountsBindings } from "./sign-in/accounts/accounts-rpc.ts";
import type { ClaimBindings } from "./sign-in/accounts/enrolment.ts";
import type { AuthKitBindings } from "./sign-in/authkit/caller.ts";
import type { StoreBindings } from "./sign-in/oauth/store/store-rpc.ts";
import type { UserBindings } from "./user/user-rpc.ts";

/**
 * The control API's bindings: what its leaf files say that they need, together. None of those imports this file, so that
 * a leaf can be read, and tested, by itself.
 */
export type Env = AddressBindings &
  DispatchBindings &
  ProvisioningBindings &
  UserBindings &
  AccountsBindings &
  ClaimBindings &
  AuthKitBindings &
  StoreBindings &
  LoopbackBindings & {
    /** "1": every request at /mcp goes through the SDK's handler (mcp/lean-lane.ts), to compare the two. */
    readonly SDK_LANE_ONLY?: string;
    /** On one computer only: another for each start of the platform, whose scripts all start with it. */
    readonly PLATFORM_START?: string;
  };
