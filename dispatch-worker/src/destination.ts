import { machineAddressIn, type MachineAddress } from "#protocol/address.ts";
import { OperatorHeader } from "#protocol/header.ts";
import { isSlug } from "#protocol/slug.ts";

/**
 * The machine script that a request is for: from the header of a trusted gate, else from the host `<slug>.<domain>`, else from
 * the path `/m/<slug>/...`. `null` when none of them contains a valid slug. The path is used as the URL parser returns it:
 * dot segments are resolved, and percent-encoded characters stay encoded, which no slug contains.
 */
export function destinationOf(request: Request, url: URL, domain: string, isTrusted: boolean): MachineAddress | null {
  const named = isTrusted ? request.headers.get(OperatorHeader.MACHINE) : null;
  // A gate that names the machine in the header sends the path exactly as the machine must receive it.
  const address = named === null ? machineAddressIn(url, domain) : { slug: named, path: url.pathname };
  return address !== null && isSlug(address.slug) ? address : null;
}
