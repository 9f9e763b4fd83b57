import { DurableObject } from "cloudflare:workers";

/** The database in which the simulated objects have theirs. */
export class Stage extends DurableObject {}

export default { fetch: (): Response => new Response("the simulator") };
