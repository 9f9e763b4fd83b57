import { NotFoundError } from "cloudflare";
import { namesIn } from "#protocol/slug.ts";
import * as z from "zod/mini";
import { tagOf } from "../http/caller.ts";
import { clientOf, placeOf, type ProvisioningBindings } from "./provisioning.ts";
import { KIND_TAG } from "./upload-form.ts";

/** A machine as its own script's bindings describe it. Secrets among them cannot be read back. */
export type FoundMachine = { name: string; slug: string; identity: string; template: string };

const Listed = z.object({ result: z.array(z.object({ id: z.string() })) });
const Bindings = z.array(z.looseObject({ name: z.string(), text: z.optional(z.string()) }));

/**
 * The machines of a user that the dispatch namespace has scripts of. A script is there from a machine's registration to its
 * removal, so the namespace can say which machines a user has when nothing else is left to say it.
 *
 * @throws APIError of the SDK, with the API's own words
 */
export async function machinesInNamespace(env: ProvisioningBindings, user: string): Promise<FoundMachine[]> {
  const { account_id: account, dispatch_namespace: namespace } = placeOf(env);
  const path = `/accounts/${account}/workers/dispatch/namespaces/${namespace}/scripts`;
  const { result } = Listed.parse(await clientOf(env).get(path, { query: { tags: `${KIND_TAG}:yes` } }));
  const tag = await tagOf(user);
  const found: FoundMachine[] = [];
  for (const { id } of result) {
    if (namesIn(id).tag !== tag) continue; // another user's, by its name alone
    const machine = await machineInNamespace(env, user, id);
    if (machine !== null) found.push(machine);
  }
  return found;
}

/** The machine whose script has this slug; `null` when there is no such script, or it is not this user's. */
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
