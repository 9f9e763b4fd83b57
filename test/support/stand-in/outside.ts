import { platform } from "./platform.ts";
import { RECEIVERS, receivers } from "./receivers.ts";

type Outside = ReturnType<typeof platform>;

/** Everything that the control API under test reaches by `fetch`: Cloudflare's API, and receivers of webhooks. */
export function outside(): Outside {
  const [api, hooks] = [platform(), receivers()];
  return (request) => {
    const { hostname } = new URL(request.url);
    const isReceiver = hostname === RECEIVERS || hostname.endsWith(`.${RECEIVERS}`);
    return isReceiver ? hooks(request as unknown as Parameters<typeof hooks>[0]) : api(request);
  };
}
