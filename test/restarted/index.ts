import * as control from "../../control-api/src/index.ts";
import { restarted } from "./restarted.ts";

export * from "../../control-api/src/index.ts";
export { default } from "../../control-api/src/index.ts";

// These take the place of the classes of the same names.
export const User = restarted(control.User, "User");
export const Accounts = restarted(control.Accounts, "Accounts");
export const OAuthStore = restarted(control.OAuthStore, "OAuthStore");
export const Webhooks = restarted(control.Webhooks, "Webhooks");
