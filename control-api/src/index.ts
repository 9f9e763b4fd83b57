import { app } from "./app.ts";
import type { Env } from "./env.ts";

export { Reports } from "./reports.ts";
export { User } from "./user/user.ts";

export default { fetch: app.fetch } satisfies ExportedHandler<Env>;
