import type { Account } from "./account.ts";
import { type Plan, Refusal, routesOf, type Step } from "./plan.ts";
import type { Settings } from "./settings.ts";

/** What a removal deletes: what a deployment and its machines made, and nothing else. @throws Refusal */
export async function planRemoval(account: Account, { domain }: Settings): Promise<Plan> {
  const { names } = account;
  const steps: Step[] = [];
  const warnings: string[] = [];
  for (const name of [names.control, names.dispatch]) {
    const found = await account.worker(name);
    if (found.kind === "foreign") throw new Refusal(`The Worker "${name}" is not Operator's, so nothing is removed.`);
    if (found.kind === "ours" && found.domain !== domain)
      throw new Refusal(
        `The Worker "${name}" is the Operator for ${found.domain}, not for ${domain}, so nothing is removed.`,
      );
    if (found.kind === "ours")
      steps.push({
        text: `delete the Worker ${name}${name === names.control ? ", with all people, machines, tokens and sign-ins" : ""}`,
        run: () => account.deleteWorker(name),
      });
  }
  const zone = await account.zoneOf(domain);
  const routes = zone === null ? [] : await account.routes(zone.id);
  for (const { id, pattern, script } of routes)
    if (zone !== null && script === names.control && routesOf(domain).includes(pattern))
      // Before the Workers, so that no route ever leads to a Worker that is gone.
      steps.unshift({ text: `delete the route ${pattern}`, run: () => account.deleteRoute(zone.id, id) });
  for (const { id, hostname, service } of await account.hosts(names.dispatch))
    if (service === names.dispatch)
      steps.unshift({ text: `delete the host ${hostname}`, run: () => account.deleteHost(id) });
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
      steps.push({ text: `delete the dispatch namespace ${names.namespace}`, run: () => account.deleteNamespace() });
    else
      warnings.push(
        `The dispatch namespace ${names.namespace} stays: ${others.length} scripts in it are not Operator's (${others.slice(0, 5).join(", ")}).`,
      );
  }
  return { steps, warnings };
}
