/**
 * The public interface of the connector, which keeps a machine's link to its Operator. Other programs may import only this file.
 * A `Connector` dials and relays requests to a `Target`. `TargetWatch` reads the target's own events.
 */
export { Connector, type Stopped } from "./connector.ts";
export { emptySpool } from "./event-sender.ts";
export { DISK_RETRY_MS, type DiskFault, EventSpool } from "./event-spool.ts";
export { EventThrottle } from "./event-throttle.ts";
export type { LinkSigner } from "./link.ts";
export { machineFacts } from "./facts.ts";
export { HttpTarget } from "./http-target.ts";
export { StdioTarget } from "./stdio/stdio-target.ts";
export { checkTarget, type TargetCheck } from "./target-check.ts";
export { type Answer, answerJson, type Target, type TargetRequest } from "./target.ts";
export { type EventSource, TargetWatch } from "./watch-target.ts";
