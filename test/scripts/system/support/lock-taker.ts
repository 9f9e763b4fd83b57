import { Lock } from "../../../../scripts/system/lock.ts";

/** Tries to take the lock named on its command line, says how that went, and stays until it is killed. */
const lock = Lock.take(process.argv[2] ?? "");
process.send?.(lock instanceof Lock ? "took" : "taken");
setInterval(() => undefined, 1_000);
