import type { Finding } from "../operator/finding.ts";
import { lookAtAddress, lookAtHost } from "../operator/look-at-address.ts";

const TIMEOUT_MS = 10_000;

/** A machine's name that nobody has. Its host has the same DNS record, certificate and route as every machine's. */
const ANY_MACHINE = "doctor";

/**
 * Everything that can be seen of a deployment from outside.
 * @param version of the machine template in this folder
 */
export async function lookAtDeployment(origin: string, version: string): Promise<Finding[]> {
  const address = await lookAtAddress(origin);
  // Without an answer there the rest says the same again.
  if (address.some(({ says }) => says.includes("has no address") || says.includes("cannot be reached"))) return address;
  return [...address, ...(await lookAtMachineHosts(origin)), await lookAtVersion(origin, version)];
}

/** Whether requests for machines' own hosts reach Operator: the wildcard's DNS record, certificate and route. */
async function lookAtMachineHosts(origin: string): Promise<Finding[]> {
  const url = new URL(origin);
  url.hostname = `${ANY_MACHINE}.${url.hostname}`;
  const { hasAddress, findings } = await lookAtHost(url.origin);
  if (!hasAddress) return findings;
  const wildcard = `*.${new URL(origin).hostname}`;
  const asked = await ask(`${url.origin}/.well-known/oauth-protected-resource/mcp`);
  const isOurs = asked.status === 200 && asked.json?.["resource"] === `${url.origin}/mcp`;
  const route: Finding = isOurs
    ? { level: "ok", says: `the route ${wildcard}/* leads to Operator, so every machine has a host of its own` }
    : {
        level: "problem",
        says: `${url.host} answered ${asked.status ?? asked.why}, and not as Operator: the route ${wildcard}/* does not lead to it`,
        fix: "Deploy again, and look in the zone's Workers Routes for a more specific route. The DNS record of the wildcard must be proxied.",
      };
  return [...findings, route];
}

/** Whether what is deployed is what this folder has. */
async function lookAtVersion(origin: string, version: string): Promise<Finding> {
  const { json, status, why } = await ask(`${origin}/api/health`);
  const deployed = json?.["version"];
  if (deployed === version)
    return { level: "ok", says: `the deployed machine template is ${version}, as in this folder` };
  if (typeof deployed !== "string")
    return {
      level: "problem",
      says: `${origin}/api/health answered ${status ?? why}, without a version`,
      fix: "Something else answers there, or the Worker fails: look at its logs in the dashboard.",
    };
  return {
    level: "warning",
    says: `the deployed machine template is ${deployed}, and this folder has ${version}`,
    fix: `npm run deploy -- --domain ${new URL(origin).hostname}`,
  };
}

type Asked = { status?: number; why?: string; json?: Record<string, unknown> };

async function ask(url: string): Promise<Asked> {
  try {
    const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const json = (await response.json().catch(() => null)) as Record<string, unknown> | null;
    return { status: response.status, ...(json === null ? {} : { json }) };
  } catch (reason) {
    return { why: reason instanceof Error && reason.cause instanceof Error ? reason.cause.message : String(reason) };
  }
}
