import { machineAddressIn } from "#protocol/address.ts";
import { namesIn } from "#protocol/slug.ts";
import type { Env } from "../../env.ts";
import type { Identified } from "../../http/shown-machine.ts";
import type { Audience } from "./resource.ts";

/** The machine of a person that has this address now. `null` if none has, and for the apex. */
export async function machineAt(audience: Audience, user: string, env: Env): Promise<Identified | null> {
  const address = machineAddressIn(new URL(audience), env.DOMAIN);
  if (address === null) return null;
  const record: (Identified & { readonly slug: string }) | null = await env.USER.getByName(user).machine(
    namesIn(address.slug).name,
  );
  return record?.slug === address.slug ? record : null;
}
