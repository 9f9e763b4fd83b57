import type { Account } from "./account.ts";
import type { Settings } from "./settings.ts";

/** One thing that a deployment or removal does. `text` is what a person reads before agreeing to it. */
export type Step = { readonly text: string; readonly run: () => Promise<void> };
export type Plan = { readonly steps: readonly Step[]; readonly warnings: readonly string[] };

/** The account is not in a state in which this is safe. The message says what to do. */
export class Refusal extends Error {
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
  const { names } = account;
  const zone = await account.zoneOf(domain);
  if (zone === null)
    throw new Refusal(
      `No zone of this account has ${domain}. Add the domain to the account, or give the token Zone: Read for it.`,
    );
  if (zone.name === domain && !allowApex)
    throw new Refusal(
      `${domain} is a whole zone. The route *.${domain}/* would take over every proxied subdomain without a route of its own. Use a subdomain such as operator.${domain}, or --allow-apex if that is what you want.`,
    );
  const control = await account.worker(names.control);
  const dispatch = await account.worker(names.dispatch);
  for (const [name, found] of [
    [names.control, control],
    [names.dispatch, dispatch],
  ] as const) {
    if (found.kind === "foreign")
      throw new Refusal(
        `The account has a Worker "${name}" that is not Operator's. A deployment would replace it. Choose another name for this Operator, such as --name operator-2.`,
      );
    if (found.kind === "ours" && found.domain !== domain)
      throw new Refusal(
        `The Worker "${name}" is the Operator for ${found.domain}. For a second one beside it, choose another name, such as --name operator-2. To move it to ${domain}, first remove it: npm run deploy -- --domain ${found.domain} --destroy. Its machines and people are lost with it.`,
      );
  }
  const patterns = routesOf(domain);
  const taken = (await account.routes(zone.id)).find(
    ({ pattern, script }) => patterns.includes(pattern) && script !== null && script !== names.control,
  );
  if (taken !== undefined)
    throw new Refusal(
      `The route ${taken.pattern} leads to the Worker "${taken.script}". If that is this Operator, add --name ${taken.script}. If not, remove the route, or choose another domain.`,
    );
  const hosts = await planHosts(account, { zone: zone.id, gateHost, hasDispatch: dispatch.kind === "ours" });
  const namespace = await account.namespace();
  if (namespace.kind === "there" && dispatch.kind === "none") {
    const { others } = await account.scripts();
    if (others.length > 0)
      throw new Refusal(
        `The account has a dispatch namespace "${names.namespace}" with scripts that are not Operator's (${others.slice(0, 5).join(", ")}). Choose another name for this Operator, such as --name operator-2.`,
      );
  }

  const steps: Step[] = [];
  const subdomain = await account.subdomain();
  if (subdomain === null) {
    const name = `${domain.replaceAll(/[^a-z0-9]+/g, "-")}`.slice(0, 60);
    steps.push({
      text: `register the account's name ${name}.workers.dev, which Durable Objects need (nothing is served there)`,
      run: () => account.registerSubdomain(name),
    });
  }
  if (namespace.kind === "none")
    steps.push({ text: `create the dispatch namespace ${names.namespace}`, run: () => account.createNamespace() });
  const verb = { none: "create", ours: "update", foreign: "replace" } as const;
  const reached = gateHost === null ? "without any address" : `at ${gateHost}, for gates of your own`;
  steps.push(
    { text: `${verb[dispatch.kind]} the Worker ${names.dispatch}, ${reached}`, run: deploy.dispatch },
    { text: `${verb[control.kind]} the Worker ${names.control}, at ${patterns.join(" and ")}`, run: deploy.control },
    ...hosts.steps,
  );
  const warnings = [...hosts.warnings, ...(await missingRecords(account, zone.id, domain))];
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

/**
 * What becomes of the dispatch Worker's hosts. Wrangler takes a host without asking when nobody is there to be asked: from another Worker,
 * and with it the DNS record that it has. And it never gives one back. So both are looked at here. @throws Refusal
 */
async function planHosts(
  account: Account,
  { zone, gateHost, hasDispatch }: { zone: string; gateHost: string | null; hasDispatch: boolean },
): Promise<Plan> {
  const warnings: string[] = [];
  const { dispatch } = account.names;
  if (gateHost !== null) {
    const host = await account.host(gateHost);
    if (host !== null && host.service !== dispatch)
      throw new Refusal(`${gateHost} belongs to the Worker "${host.service}". Choose another --gate-host.`);
    const records = host === null ? await account.dnsRecords(zone, gateHost) : [];
    if (records === null)
      warnings.push(`The token may not read DNS records. If ${gateHost} has one, the deployment replaces it.`);
    else if (records.length > 0)
      throw new Refusal(
        `${gateHost} has a DNS record (${records.join(", ")}), which the deployment would replace. Delete it, or choose another --gate-host.`,
      );
  }
  const former = hasDispatch ? await account.hosts(dispatch) : [];
  const steps = former
    .filter(({ hostname }) => hostname !== gateHost)
    .map(({ id, hostname }) => ({
      text: `remove the host ${hostname} from the Worker ${dispatch}: gates no longer reach it there`,
      run: () => account.deleteHost(id),
    }));
  return { steps, warnings };
}

/** Routes need proxied DNS records. Without them everything is deployed, and nothing reaches it. */
async function missingRecords(account: Account, zone: string, domain: string): Promise<string[]> {
  const missing: string[] = [];
  for (const name of [domain, `*.${domain}`])
    if ((await account.dnsRecords(zone, name))?.length === 0) missing.push(name);
  if (missing.length === 0) return [];
  return [
    `There is no DNS record for ${missing.join(" and ")}, so no request gets to Operator there. Add proxied ones; any address will do, such as 192.0.2.1.`,
  ];
}

export function routesOf(domain: string): string[] {
  return [`${domain}/*`, `*.${domain}/*`];
}
