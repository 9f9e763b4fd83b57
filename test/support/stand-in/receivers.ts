/** A message that reached a receiver. */
export type ReceivedMessage = {
  url: string;
  headers: Record<string, string>;
  /** An encrypted push message in Base64, everything else as it came. */
  body: string;
};

/** How a receiver answers. By default it echoes challenges and accepts everything. */
export type ReceiverPlan = {
  /** Its answer to a challenge, instead of the echo. */
  echo?: string;
  /** The status of its answer to anything else, with these headers. */
  status?: number;
  headers?: Record<string, string>;
  /** It never answers, only to challenges, or to challenges only when it has another plan. */
  hangs?: "always" | "events" | "challenges";
};

type Asked = {
  method: string;
  url: string;
  headers: Iterable<[string, string]>;
  arrayBuffer(): Promise<ArrayBuffer>;
};

/** The domain of the receivers: `https://<name>.hooks.example/...`. */
export const RECEIVERS = "hooks.example";

/**
 * Receivers of webhooks on the internet, as the control API under test sees it. At http://hooks.example/<name> the test says what a
 * receiver does (PUT a `ReceiverPlan`), and reads what reached it (GET `?from=<count>`: `ReceivedMessage[]`, as soon as there is more).
 */
export function receivers(): (request: Asked) => Promise<Response> {
  const plans = new Map<string, ReceiverPlan>();
  const received = new Map<string, ReceivedMessage[]>();
  const waiting = new Set<() => void>();
  const held = new Set<() => void>();

  async function show(name: string, from: number): Promise<Response> {
    for (;;) {
      const messages = received.get(name) ?? [];
      if (messages.length > from || from < 0) return Response.json(messages);
      await new Promise<void>((resolve) => {
        waiting.add(resolve);
      });
    }
  }

  return async (request) => {
    const url = new URL(request.url);
    const bytes = Buffer.from(await request.arrayBuffer());
    if (url.hostname === RECEIVERS) {
      const name = url.pathname.slice(1);
      if (request.method === "GET") return show(name, Number(url.searchParams.get("from")));
      plans.set(name, JSON.parse(bytes.toString()));
      for (const release of held) release();
      held.clear();
      return new Response(null, { status: 204 });
    }
    const name = url.hostname.slice(0, -RECEIVERS.length - 1);
    const messages = received.get(name) ?? [];
    received.set(name, messages);
    const sent = Object.fromEntries(request.headers);
    const isPush = sent["content-encoding"] === "aes128gcm";
    const body = bytes.toString(isPush ? "base64" : "utf8");
    messages.push({ url: request.url, headers: sent, body });
    for (const wake of waiting) wake();
    waiting.clear();
    const { echo, status = 204, headers = {}, hangs } = plans.get(name) ?? {};
    const { type, challenge }: { type?: string; challenge?: string } = isPush ? {} : JSON.parse(body);
    const isChallenge = type === "verification";
    if (hangs === "always" || (hangs === "events" && !isChallenge)) return new Promise(() => undefined);
    if (isChallenge && hangs === "challenges") await new Promise<void>((resolve) => held.add(resolve));
    if (isChallenge) return new Response(echo ?? JSON.stringify({ challenge }));
    return new Response(null, { status, headers });
  };
}
