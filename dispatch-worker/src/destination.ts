import { OperatorHeader } from "#protocol/header.ts";
import { isSlug } from "#protocol/slug.ts";

/** Which script a request is for, and the path it is to see there. */
export type Destination = { slug: string; path: string };

/** `/m/<slug>` and what follows; the slug's own grammar is checked apart. */
const MACHINE_PATH = /^\/m\/([^/]*)(\/.*)?$/;

/**
 * Where a request goes: the header of a trusted gate, else the host `<slug>.<domain>`, else the path `/m/<slug>/...`.
 * `null` when it names no machine, or not by our grammar. The path is taken as the URL parser left it: dot segments are
 * resolved, and anything percent-encoded stays so and is no slug.
 */
export function destinationOf(request: Request, url: URL, domain: string, isTrusted: boolean): Destination | null {
  const named = isTrusted ? request.headers.get(OperatorHeader.MACHINE) : null;
  const inPath = MACHINE_PATH.exec(url.pathname);
  const inHost = hostLabel(url.hostname, domain);
  const slug = named ?? inHost ?? inPath?.[1];
  if (slug === undefined || !isSlug(slug)) return null;
  // Whoever names the machine by header or host sends the path that the machine is to see.
  const path = named !== null || inHost !== null ? url.pathname : (inPath?.[2] ?? "/");
  return { slug, path };
}

/** The label before `domain`, if `hostname` is exactly one label under it. */
function hostLabel(hostname: string, domain: string): string | null {
  if (!hostname.endsWith(`.${domain}`)) return null;
  const label = hostname.slice(0, -domain.length - 1);
  return label.includes(".") ? null : label;
}
