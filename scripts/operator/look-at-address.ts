import { lookup } from "node:dns/promises";
import { connect } from "node:tls";
import { X509Certificate } from "node:crypto";
import type { Finding } from "./finding.ts";

const TIMEOUT_MS = 10_000;

/** Two weeks: every way of renewal has tried for longer by then. */
const RENEWAL_IS_LATE_MS = 14 * 24 * 3_600_000;

/** Tokens and passkeys tolerate a minute or so. */
const CLOCK_TOLERANCE_MS = 60_000;

/** As Claude.ai's connectors call: some proxies refuse user agents that they do not know. */
const CLAUDE = "Claude-User";

/** Whether the address that clients use leads here, from this computer. */
export async function lookAtAddress(url: string, now = Date.now): Promise<Finding[]> {
  const { protocol, hostname, port } = new URL(url);
  if (protocol !== "https:")
    return [{ level: "ok", says: `${url} is for this computer alone; nothing else has to reach it` }];
  const addresses = await lookup(hostname, { all: true }).catch(() => []);
  if (addresses.length === 0)
    return [
      {
        level: "problem",
        says: `${hostname} has no address`,
        fix: "Add an A or AAAA record for it, or wait until it has spread.",
      },
    ];
  const found = addresses.map(({ address }) => address).join(", ");
  return [
    { level: "ok", says: `${hostname} is ${found}` },
    await lookAtCertificate(hostname, Number(port || 443), now()),
    ...(await lookAtAnswers(url, now)),
  ];
}

async function lookAtCertificate(host: string, port: number, nowMs: number): Promise<Finding> {
  const says = (words: string): string => `the certificate at ${host}:${port} ${words}`;
  const seen = await certificateAt(host, port);
  if ("reason" in seen)
    return {
      level: "problem",
      says: `no TLS at ${host}:${port} (${seen.reason})`,
      fix: "Open that port in the firewall, and forward it on the router.",
    };
  const { refusal, certificate } = seen;
  const end = certificate.validToDate;
  if (refusal !== null)
    return {
      level: "problem",
      says: says(`is not trusted (${refusal})`),
      fix: "Use one of a public authority: --acme, or --tls-cert with the whole chain.",
    };
  if (end.getTime() - nowMs < RENEWAL_IS_LATE_MS)
    return {
      level: "warning",
      says: says(`ends ${end.toISOString()}`),
      fix: "It should have been renewed. The log says why it was not.",
    };
  return { level: "ok", says: says(`ends ${end.toISOString()}`) };
}

type Seen = { reason: string } | { refusal: string | null; certificate: X509Certificate };

function certificateAt(host: string, port: number): Promise<Seen> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, servername: host, rejectUnauthorized: false, timeout: TIMEOUT_MS }, () => {
      const certificate = socket.getPeerX509Certificate();
      const refusal = socket.authorized ? null : String(socket.authorizationError);
      socket.destroy();
      resolve(certificate === undefined ? { reason: "it showed no certificate" } : { refusal, certificate });
    });
    socket.on("error", ({ message }) => resolve({ reason: message }));
    socket.on("timeout", () => {
      socket.destroy();
      resolve({ reason: "no answer" });
    });
  });
}

/** What a client does first: it is refused, told where to sign in, and looks there. */
async function lookAtAnswers(url: string, now: () => number): Promise<Finding[]> {
  const ask = (path: string, method: string) =>
    fetch(new URL(path, url), {
      method,
      redirect: "manual",
      headers: { "user-agent": CLAUDE, accept: "application/json, text/event-stream" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  try {
    const refused = await ask("/mcp", "POST");
    await refused.body?.cancel();
    const metadata = await ask("/.well-known/oauth-protected-resource/mcp", "GET");
    const resource = ((await metadata.json().catch(() => null)) as { resource?: unknown } | null)?.resource;
    const isRight = refused.status === 401 && resource === `${url}/mcp`;
    return [
      isRight
        ? { level: "ok", says: `${url}/mcp answers as a client such as Claude.ai expects` }
        : {
            level: "problem",
            says: `${url}/mcp answered ${refused.status}, and its metadata names ${JSON.stringify(resource ?? null)}`,
            fix: "Something else answers there, or a proxy changes host, scheme or path.",
          },
      lookAtClock(metadata.headers.get("date"), now()),
    ];
  } catch (reason) {
    const why = reason instanceof Error && reason.cause instanceof Error ? reason.cause.message : String(reason);
    return [
      {
        level: "problem",
        says: `${url} cannot be reached from here (${why})`,
        fix: "Some routers do not lead back to their own public address: try it from another network.",
      },
    ];
  }
}

/** Only a proxy has another clock than this computer. */
function lookAtClock(date: string | null, nowMs: number): Finding {
  const offMs = date === null ? 0 : Math.abs(Date.parse(date) - nowMs);
  return offMs > CLOCK_TOLERANCE_MS
    ? {
        level: "problem",
        says: `the clock of this computer and that of ${date} differ by ${Math.round(offMs / 1000)} s`,
        fix: "Turn on time synchronisation: timedatectl set-ntp true",
      }
    : { level: "ok", says: `the clock is ${new Date(nowMs).toISOString()}` };
}
