import { type Account, NAMES } from "./account.ts";
import type { Settings } from "./settings.ts";

/** One thing that a deployment or removal does. `text` is what a person reads before agreeing to it. */
type Step = { readonly text: string; readonly run: () => Promise<void> };
export type Plan = { readonly steps: readonly Step[]; readonly warnings: readonly string[] };

/** The account is not in a state in which this deployment is safe. The message says what to do. */
class Refusal extends Error {
  override readonly name = "Refusal";
}

export type DeployWorkers = { readonly dispatch: () => Promise<void>; readonly control: () => Promise<void> };

/**
 * Looks at the account, and says what a deployment will do there. Changes nothing. @throws Refusal
 *
 * @param hasSecrets whether this computer has the secrets of an earlier deployment to this domain
 */
export async function planDeployment(
  account: Account,
  { domain, allowApex, gateHost, runtimeToken, rotate }: Settings,
  deploy: DeployWorkers,
  hasSecrets: boolean,
): Promise<Plan> {
  const zone = await account.zoneOf(domain);
  if (zone === null)
    throw new Refusal(
      `No zone of this account has ${domain}. Add the domain to the account, or give the token Zone: Read for it.`,
    );
  if (zone.name === domain && !allowApex)
    throw new Refusal(
      `${domain} is a whole zone. The route *.${domain}/* would take over every proxied subdomain without a route of its own. Use a subdomain such as operator.${domain}, or --allow-apex if that is what you want.`,
    );
  const control = await account.worker(NAMES.control);
  const dispatch = await account.worker(NAMES.dispatch);
  for (const [name, found] of [
    [NAMES.control, control],
    [NAMES.dispatch, dispatch],
  ] as const) {
    if (found.kind === "foreign")
      throw new Refusal(
        `The account has a Worker "${name}" that is not Operator's. A deployment would replace it. Rename it, or use another account.`,
      );
    if (found.kind === "ours" && found.domain !== domain)
      throw new Refusal(
        `The account has an Operator for ${found.domain}. An account holds one. To move it to ${domain}, first remove it: npm run deploy -- --domain ${found.domain} --destroy. Its machines and people are lost with it.`,
      );
  }
  const patterns = routesOf(domain);
  const taken = (await account.routes(zone.id)).find(
    ({ pattern, script }) => patterns.includes(pattern) && script !== null && script !== NAMES.control,
  );
  if (taken !== undefined)
    throw new Refusal(
      `The route ${taken.pattern} leads to the Worker "${taken.script}". Remove the route, or choose another domain.`,
    );

  const steps: Step[] = [];
  const subdomain = await account.subdomain();
  if (subdomain === null) {
    const name = `${domain.replaceAll(/[^a-z0-9]+/g, "-")}`.slice(0, 60);
    steps.push({
      text: `register the account's name ${name}.workers.dev, which Durable Objects need (nothing is served there)`,
      run: () => account.registerSubdomain(name),
    });
  }
  const namespace = await account.namespace();
  if (namespace.kind === "none")
    steps.push({ text: `create the dispatch namespace ${NAMES.namespace}`, run: () => account.createNamespace() });
  const verb = { none: "create", ours: "update", foreign: "replace" } as const;
  const reached = gateHost === null ? "without any address" : `at ${gateHost}, for gates of your own`;
  steps.push(
    { text: `${verb[dispatch.kind]} the Worker ${NAMES.dispatch}, ${reached}`, run: deploy.dispatch },
    { text: `${verb[control.kind]} the Worker ${NAMES.control}, at ${patterns.join(" and ")}`, run: deploy.control },
  );
  const warnings: string[] = [];
  if (runtimeToken === null)
    warnings.push(
      "The public Worker will hold CLOUDFLARE_API_TOKEN, which may also change routes. Better: CLOUDFLARE_RUNTIME_TOKEN with Workers Scripts: Edit alone.",
    );
  if (!hasSecrets && control.kind === "ours")
    warnings.push(
      "The secrets of the earlier deployment are not on this computer, so new ones are made: scripts of machines are uploaded again as they dial, other gates need the new secret, and the claim link changes.",
    );
  if (rotate)
    warnings.push("The dispatch secret is replaced. Other gates may use the former one until the next rotation.");
  return { steps, warnings };
}

/** What a removal deletes: what a deployment and its machines made, and nothing else. @throws Refusal */
export async function planRemoval(account: Account, { domain }: Settings): Promise<Plan> {
  const steps: Step[] = [];
  const warnings: string[] = [];
  for (const name of [NAMES.control, NAMES.dispatch]) {
    const found = await account.worker(name);
    if (found.kind === "foreign") throw new Refusal(`The Worker "${name}" is not Operator's, so nothing is removed.`);
    if (found.kind === "ours" && found.domain !== domain)
      throw new Refusal(`The account's Operator is for ${found.domain}, not for ${domain}, so nothing is removed.`);
    if (found.kind === "ours")
      steps.push({
        text: `delete the Worker ${name}${name === NAMES.control ? ", with all people, machines, tokens and sign-ins" : ""}`,
        run: () => account.deleteWorker(name),
      });
  }
  const zone = await account.zoneOf(domain);
  const routes = zone === null ? [] : await account.routes(zone.id);
  for (const { id, pattern, script } of routes)
    if (zone !== null && script === NAMES.control && routesOf(domain).includes(pattern))
      // Before the Workers, so that no route ever leads to a Worker that is gone.
      steps.unshift({ text: `delete the route ${pattern}`, run: () => account.deleteRoute(zone.id, id) });
  if ((await account.namespace()).kind === "there") {
    const { own, others } = await account.scripts();
    if (own.length > 0)
      steps.push({
        text: `delete ${own.length} scripts of machines and hosted servers, with their storage`,
        run: async () => {
          for (const script of own) await account.deleteScript(script);
        },
      });
    if (others.length === 0)
      steps.push({ text: `delete the dispatch namespace ${NAMES.namespace}`, run: () => account.deleteNamespace() });
    else
      warnings.push(
        `The dispatch namespace ${NAMES.namespace} stays: ${others.length} scripts in it are not Operator's (${others.slice(0, 5).join(", ")}).`,
      );
  }
  return { steps, warnings };
}

export function routesOf(domain: string): string[] {
  return [`${domain}/*`, `*.${domain}/*`];
}
