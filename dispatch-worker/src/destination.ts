import { machineAddressIn, type MachineAddress } from "#protocol/address.ts";
import { OperatorHeader } from "#protocol/header.ts";
import { isSlug } from "#protocol/slug.ts";

/**
 * Where a request goes: the header of a trusted gate, else the host `<slug>.<domain>`, else the path `/m/<slug>/...`.
 * `null` when it names no machine, or not by our grammar. The path is taken as the URL parser left it: dot segments are
 * resolved, and anything percent-encoded stays so and is no slug.
 */
export function destinationOf(request: Request, url: URL, domain: string, isTrusted: boolean): MachineAddress | null {
  const named = isTrusted ? request.headers.get(OperatorHeader.MACHINE) : null;
  // A gate that names the machine in the header sends the path that the machine is to see.
  const address = named === null ? machineAddressIn(url, domain) : { slug: named, path: url.pathname };
  return address !== null && isSlug(address.slug) ? address : null;
}
