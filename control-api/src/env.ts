import type { AddressBindings } from "./http/host.ts";
import type { LoopbackBindings } from "./http/loopback.ts";
import type { ProvisioningBindings } from "./machines/provisioning.ts";
import type { DispatchBindings } from "./machines/script-client.ts";
import type { AccountsBindings } from "./sign-in/accounts/accounts-rpc.ts";
import type { ClaimBindings } from "./sign-in/accounts/enrolment.ts";
import type { ClientAddressBindings } from "./sign-in/address.ts";
import type { AuthKitBindings } from "./sign-in/authkit/caller.ts";
import type { StoreBindings } from "./sign-in/oauth/store/store-rpc.ts";
import type { CallbackBindings } from "./webhooks/callback-url.ts";
import type { WebhooksBindings } from "./webhooks/webhooks-rpc.ts";
import type { UserBindings } from "./user/user-rpc.ts";

/**
 * The control API's bindings: the intersection of what its leaf files declare that they need. No leaf file imports this one, so
 * each can be read and tested by itself.
 */
export type Env = AddressBindings &
  DispatchBindings &
  ProvisioningBindings &
  UserBindings &
  WebhooksBindings &
  CallbackBindings &
  AccountsBindings &
  ClaimBindings &
  AuthKitBindings &
  StoreBindings &
  LoopbackBindings &
  ClientAddressBindings & {
    /** "1": every request at /mcp goes through the SDK's handler instead of mcp/lean-lane.ts, so that tests can compare the two. */
    readonly SDK_LANE_ONLY?: string;
    /** Local start only: an id that is new with each start of the platform, which restarts all scripts. */
    readonly PLATFORM_START?: string;
    /** Local start only: "1" if Operator runs without a clone, in whose folder alone `npx codez` is ours. */
    readonly WITHOUT_CLONE?: string;
    /** Local start only: a UUID that is new with each restore of a backup. Cursors of before are then expired (history/merged-log.ts). */
    readonly RESTORED?: string;
  };
