import { NotFoundError } from "cloudflare";
import { namesIn } from "#protocol/slug.ts";
import * as z from "zod/mini";
import { tagOf } from "../http/caller.ts";
import { clientOf, placeOf, type ProvisioningBindings } from "./provisioning.ts";
import { KIND_TAG } from "#protocol/machine-upload.ts";

/** A machine as the bindings of its script describe it. The API does not return secret bindings, so the link token's hash is missing. */
export type FoundMachine = { name: string; slug: string; identity: string; template: string };

const Listed = z.object({ result: z.array(z.object({ id: z.string() })) });
const Bindings = z.array(z.looseObject({ name: z.string(), text: z.optional(z.string()) }));

/**
 * The machines of a user, read from the scripts in the dispatch namespace. A script exists from a machine's registration until its
 * removal, so a registry that was lost can be rebuilt from the namespace.
 *
 * @throws the SDK's APIError, with the API's message
 */
export async function machinesInNamespace(env: ProvisioningBindings, user: string): Promise<FoundMachine[]> {
  const { account_id: account, dispatch_namespace: namespace } = placeOf(env);
  const path = `/accounts/${account}/workers/dispatch/namespaces/${namespace}/scripts`;
  const { result } = Listed.parse(await clientOf(env).get(path, { query: { tags: `${KIND_TAG}:yes` } }));
  const tag = await tagOf(user);
  const found: FoundMachine[] = [];
  for (const { id } of result) {
    if (namesIn(id).tag !== tag) continue; // the slug alone shows that it is another user's
    const machine = await machineInNamespace(env, user, id);
    if (machine !== null) found.push(machine);
  }
  return found;
}

/**
 * The machine whose script has this slug, or `null` if there is no such script or it belongs to another user. The tag in a slug is
 * only a short hash of the user, which could collide, so the `OWNER` binding decides.
 */
export async function machineInNamespace(
  env: ProvisioningBindings,
  user: string,
  slug: string,
): Promise<FoundMachine | null> {
  try {
    const scripts = clientOf(env).workersForPlatforms.dispatch.namespaces.scripts;
    const settings = await scripts.settings.get(slug, placeOf(env));
    const bindings = Bindings.parse(settings.bindings ?? []);
    const textOf = (wanted: string): string => bindings.find(({ name }) => name === wanted)?.text ?? "";
    if (textOf("OWNER") !== user || textOf("SLUG") !== slug || textOf("NAME") !== namesIn(slug).name) return null;
    return { name: textOf("NAME"), slug, identity: textOf("IDENTITY"), template: textOf("TEMPLATE") };
  } catch (reason) {
    if (reason instanceof NotFoundError) return null;
    throw reason;
  }
}
