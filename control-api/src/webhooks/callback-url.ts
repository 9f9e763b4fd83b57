import { PRIVATE_IPV4 } from "#protocol/private-ipv4.ts";
import type { AddressBindings } from "../http/host.ts";

export type CallbackBindings = AddressBindings & {
  /**
   * Origins with commas in between that webhooks may reach although they are not public, or not HTTPS: an ntfy server at home, a
   * receiver under test. Set by who runs this Operator.
   */
  readonly WEBHOOK_ORIGINS?: string;
};

/** Longer URLs are refused by common servers. */
const MAX_URL_CHARACTERS = 2_048;

/** Names that are resolved differently in every network, or nowhere (RFC 6761, RFC 6762, RFC 8375, RFC 9476, ICANN). */
const PRIVATE_SUFFIXES = ["localhost", "local", "internal", "home.arpa", "lan", "intranet", "corp", "home", "private", "invalid", "onion", "alt"]; // prettier-ignore

/** Why a URL is invalid as a callback, in words for its author; `null` if it is valid. */
export type CallbackRefusal = string;

/**
 * Checks the URL of a callback before anything is sent to it: HTTPS, no credentials, and a public host (SEP-3415, "SSRF prevention").
 *
 * A host name is not resolved here. The runtime does that when it connects, and refuses private addresses then: Cloudflare's network
 * reaches none, and a local start allows public ones only (scripts/local/workerd/outbound.ts). A check in advance could be deceived
 * by a name that changes its address afterwards.
 */
export function callbackUrlOf(text: string, env: CallbackBindings): URL | { readonly refused: CallbackRefusal } {
  if (text.length > MAX_URL_CHARACTERS || !URL.canParse(text))
    return { refused: `The URL must be a valid one of at most ${MAX_URL_CHARACTERS} characters.` };
  const url = new URL(text);
  if (url.username !== "" || url.password !== "") return { refused: "The URL must not contain credentials." };
  if (url.hash !== "") return { refused: "The URL must not have a fragment." };
  if (allowedOrigins(env).includes(url.origin)) return url;
  if (url.protocol !== "https:") return { refused: "The URL must begin with https://." };
  // "localhost." is the same host as "localhost".
  const host = url.hostname.replace(/\.$/, "");
  if (isOwn(host, env)) return { refused: "The URL leads to this Operator itself." };
  return isPublicHost(host) ? url : { refused: `"${host}" is not a public host.` };
}

function allowedOrigins({ WEBHOOK_ORIGINS: list = "" }: CallbackBindings): string[] {
  return list.split(",").map((origin) => origin.trim());
}

/** Operator and its machines: an event must not become a request that causes the next event. */
function isOwn(host: string, { DOMAIN, ORIGIN }: AddressBindings): boolean {
  return host === new URL(ORIGIN).hostname || host === DOMAIN || host.endsWith(`.${DOMAIN}`);
}

/** `host` as `URL` writes it: IPv4 in any notation has become four decimal numbers, IPv6 is compressed and in brackets. */
function isPublicHost(host: string): boolean {
  if (host.startsWith("[")) return isPublicIpv6(host.slice(1, -1));
  if (/^\d+\.\d+\.\d+\.\d+$/.test(host)) return isPublicIpv4(host);
  if (!host.includes(".")) return false; // a name of the local network
  return !PRIVATE_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
}

function isPublicIpv4(address: string): boolean {
  const number = numberOf(address);
  return !PRIVATE_IPV4.some(([network, bits]) => number >>> (32 - bits) === numberOf(network) >>> (32 - bits));
}

function numberOf(address: string): number {
  return address.split(".").reduce((number, part) => number * 256 + Number(part), 0);
}

/**
 * Only 2000::/3 is global unicast. Within it these are not: 2001::/23 (Teredo and other special purposes), 2001:db8::/32 and
 * 3fff::/20 (documentation), 2002::/16 (6to4, which leads to any IPv4 address). All that embeds an IPv4 address elsewhere, such as
 * ::ffff:10.0.0.1 and 64:ff9b::/96, is outside.
 */
function isPublicIpv6(address: string): boolean {
  const [first = 0, second = 0] = address.split(":").map((part) => Number.parseInt(part || "0", 16));
  if (first < 0x20_00 || first > 0x3f_ff) return false;
  if (first === 0x20_01 && (second < 0x02_00 || second === 0x0d_b8)) return false;
  return first !== 0x20_02 && !(first === 0x3f_ff && second < 0x10_00);
}
