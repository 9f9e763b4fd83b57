import type { Handler } from "../server.ts";
import { ReplyLost } from "../server.ts";
import { failure } from "../envelope.ts";
import { PlatformFailure } from "../error.ts";
import { type Chances, type Hostility } from "./hostility.ts";

/** On a request that repeats a change which was carried out, and whose reply was lost. */
export const REPEATS_HEADER = "x-operator-local-repeats";

/**
 * The API as it is on a bad day: some requests are refused with 429, and the replies to some changes are lost after they were carried
 * out. A request that has just met one of the two gets through when it is repeated, so that a client which repeats as it should
 * always succeeds.
 */
export function withFaults(handler: Handler, hostility: Hostility, chances: Chances): Handler {
  const unlucky = new Set<string>();
  /** Changes whose reply was lost, until one is answered with success: the first repetition of an upload may be refused for its migration. */
  const lost = new Set<string>();
  const carryOut = async (request: Request, asked: string): Promise<Response> => {
    request.headers.delete(REPEATS_HEADER);
    if (lost.has(asked)) request.headers.set(REPEATS_HEADER, "1");
    const response = await handler(request);
    if (response.ok) lost.delete(asked);
    return response;
  };
  return async (request) => {
    const { method, url } = request;
    const asked = `${method} ${new URL(url).pathname}`;
    if (unlucky.delete(asked)) return carryOut(request, asked);
    const random = chances.of("api", asked);
    if (random.chance(hostility.busyShare)) {
      unlucky.add(asked);
      const response = failure(new PlatformFailure({ code: "rate_limited" }));
      response.headers.set("retry-after-ms", String(hostility.retryAfterMs));
      response.headers.set("retry-after", String(Math.ceil(hostility.retryAfterMs / 1000)));
      return response;
    }
    const isLost = method !== "GET" && random.chance(hostility.lostShare);
    const response = await carryOut(request, asked);
    if (!isLost) return response;
    unlucky.add(asked);
    if (response.ok) lost.add(asked);
    throw new ReplyLost();
  };
}
