import { lookup } from "node:dns/promises";
import { connect } from "node:tls";
import { X509Certificate } from "node:crypto";
import type { Finding } from "./finding.ts";
import { lookAtWebSocket } from "./look-at-web-socket.ts";

const TIMEOUT_MS = 10_000;

/** Two weeks: both ACME and certbot should have renewed a certificate before that. */
const RENEWAL_IS_LATE_MS = 14 * 24 * 3_600_000;

/** Tokens and passkeys still work when the clock is off by about a minute. */
const CLOCK_TOLERANCE_MS = 60_000;

/** User agent of Claude.ai's connectors. Some proxies refuse unknown user agents, so the check must use a real one. */
const CLAUDE = "Claude-User";

/** Checks, from this computer, whether the address that clients use reaches this Operator. */
export async function lookAtAddress(url: string, now = Date.now): Promise<Finding[]> {
  const { protocol } = new URL(url);
  if (protocol !== "https:")
    return [{ level: "ok", says: `${url} is for this computer only; other computers need not reach it` }];
  const host = await lookAtHost(url, now);
  if (!host.hasAddress) return host.findings;
  return [...host.findings, ...(await lookAtAnswers(url, now)), await lookAtWebSocket(url)];
}

/** Checks a host's DNS and its certificate. */
export async function lookAtHost(url: string, now = Date.now): Promise<{ hasAddress: boolean; findings: Finding[] }> {
  const { hostname, port } = new URL(url);
  const addresses = await lookup(hostname, { all: true }).catch(() => []);
  if (addresses.length === 0) {
    const fix = "Add an A or AAAA record for it, or wait until DNS servers have the new record.";
    return { hasAddress: false, findings: [{ level: "problem", says: `${hostname} has no address`, fix }] };
  }
  const found = addresses.map(({ address }) => address).join(", ");
  const certificate = await lookAtCertificate(hostname, Number(port || 443), now());
  return { hasAddress: true, findings: [{ level: "ok", says: `${hostname} is ${found}` }, certificate] };
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
      fix: "Use a certificate of a public authority: --acme, or --tls-cert with the whole chain.",
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
      resolve(certificate === undefined ? { reason: "the server sent no certificate" } : { refusal, certificate });
    });
    socket.on("error", ({ message }) => resolve({ reason: message }));
    socket.on("timeout", () => {
      socket.destroy();
      resolve({ reason: "no answer" });
    });
  });
}

/** Repeats a client's first requests: one without a token, which must be refused with 401, and one for the OAuth metadata. */
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
        fix: "Some routers do not route their own public address back inside (no hairpin NAT): try it from another network.",
      },
    ];
  }
}

/** Compares clocks. They can only differ if the answer came from a proxy on another computer. */
function lookAtClock(date: string | null, nowMs: number): Finding {
  const offMs = date === null ? 0 : Math.abs(Date.parse(date) - nowMs);
  return offMs > CLOCK_TOLERANCE_MS
    ? {
        level: "problem",
        says: `this computer's clock and the time in the server's answer (${date}) differ by ${Math.round(offMs / 1000)} s`,
        fix: "Turn on time synchronisation: timedatectl set-ntp true",
      }
    : { level: "ok", says: `the clock is ${new Date(nowMs).toISOString()}` };
}
