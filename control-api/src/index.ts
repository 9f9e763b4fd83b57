import type { Env } from "./env.ts";
import { gate } from "./gate.ts";

export { Reports } from "./reports.ts";
export { User } from "./user/user.ts";

export default gate satisfies ExportedHandler<Env>;
