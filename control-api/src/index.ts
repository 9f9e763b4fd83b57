import type { Env } from "./env.ts";
import { gate } from "./gate.ts";

export { Reports } from "./machines/reports.ts";
export { OAuthImport } from "./sign-in/oauth/store/import.ts";
export { OAuthStore } from "./sign-in/oauth/store/oauth-store.ts";
export { Accounts } from "./sign-in/accounts/accounts.ts";
export { Webhooks } from "./webhooks/webhooks.ts";
export { User } from "./user/user.ts";

export default gate satisfies ExportedHandler<Env>;
