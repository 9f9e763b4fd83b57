import Cloudflare, { APIError, NotFoundError } from "cloudflare";
import * as z from "zod";

/** The Workers and the namespace of one Operator. An account may have several, each with a name of its own. */
export type Names = { readonly control: string; readonly dispatch: string; readonly namespace: string };

/** The names that follow from an Operator's name. They never change: Durable Objects belong to a Worker of one name. */
export function namesOf(name: string): Names {
  return { control: name, dispatch: `${name}-dispatch`, namespace: name };
}

/** Tags of the scripts that Operator uploads into the namespace (`#protocol/machine-upload.ts`, and `hosted-form.ts` of the control API). */
const OWN_TAGS = ["operator-machine", "operator-hosted"] as const;

/** A call to Cloudflare's API that takes longer has failed. Milliseconds. */
const TIMEOUT_MS = 30_000;

export type Credentials = { readonly accountId: string; readonly apiToken: string; readonly apiUrl: string };
export type AccountOptions = Credentials & { readonly name: string };

/** A Worker in the account, as far as it matters here: nothing of that name, this Operator's, or something else. */
export type FoundWorker = { kind: "none" } | { kind: "ours"; domain: string } | { kind: "foreign" };
export type Route = { id: string; pattern: string; script: string | null };
export type FoundNamespace = { kind: "none" } | { kind: "there" };
/** A host that belongs to a Worker ("custom domain"): Cloudflare makes its DNS record and its certificate. */
export type Host = { id: string; hostname: string; service: string };

const Envelope = z.object({ result: z.unknown() });
const Bindings = z.object({
  bindings: z.array(z.looseObject({ type: z.string(), name: z.string(), text: z.string().optional() })).default([]),
});
const Zones = z.array(z.object({ id: z.string(), name: z.string() }));
const Routes = z.array(z.object({ id: z.string(), pattern: z.string(), script: z.string().nullish() }));
const Scripts = z.array(z.object({ id: z.string(), tags: z.array(z.string()).nullish() }));
const Hosts = z.array(z.object({ id: z.string(), hostname: z.string(), service: z.string() }));
const DnsRecords = z.array(z.object({ type: z.string(), content: z.string() }));
const Subdomain = z.object({ subdomain: z.string().nullish() });

/** What is in a Cloudflare account, and the few changes that wrangler does not make. */
export class Account {
  readonly #client: Cloudflare;
  readonly #path: string;
  readonly #namespaces: string;
  readonly #namespace: string;
  readonly names: Names;

  constructor({ accountId, apiToken, apiUrl, name }: AccountOptions) {
    this.#client = new Cloudflare({ apiToken, baseURL: apiUrl, timeout: TIMEOUT_MS });
    this.names = namesOf(name);
    this.#path = `/accounts/${accountId}/workers`;
    this.#namespaces = `${this.#path}/dispatch/namespaces`;
    this.#namespace = `${this.#namespaces}/${this.names.namespace}`;
  }

  /** The zone that a host is on: the one with the longest name that the host ends with. `null` if the account has none. */
  async zoneOf(host: string): Promise<{ id: string; name: string } | null> {
    const labels = host.split(".");
    for (let at = 0; at < labels.length - 1; at += 1) {
      const name = labels.slice(at).join(".");
      const [zone] = await this.#get("/zones", Zones, { name });
      if (zone !== undefined) return zone;
    }
    return null;
  }

  async routes(zone: string): Promise<Route[]> {
    const routes = await this.#get(`/zones/${zone}/workers/routes`, Routes);
    return routes.map(({ id, pattern, script = null }) => ({ id, pattern, script }));
  }

  /**
   * Whether a Worker of this name exists, and who owns it. It is an Operator's if it has the bindings that only Operator's Workers
   * have together.
   */
  async worker(name: string): Promise<FoundWorker> {
    const settings = await this.#find(`${this.#path}/scripts/${name}/settings`, Bindings);
    if (settings === null) return { kind: "none" };
    const has = (type: string, binding: string) =>
      settings.bindings.some((one) => one.type === type && one.name === binding);
    const domain = settings.bindings.find((one) => one.type === "plain_text" && one.name === "DOMAIN")?.text;
    const isOurs =
      name === this.names.dispatch
        ? has("dispatch_namespace", "DISPATCH")
        : has("service", "DISPATCHER") && has("durable_object_namespace", "USER");
    return isOurs && domain !== undefined ? { kind: "ours", domain } : { kind: "foreign" };
  }

  /** The host of this name that belongs to a Worker; `null` if none does. */
  async host(hostname: string): Promise<Host | null> {
    const [host = null] = await this.#get(`${this.#path}/domains`, Hosts, { hostname });
    return host;
  }

  /** The hosts of a Worker. */
  hosts(service: string): Promise<Host[]> {
    return this.#get(`${this.#path}/domains`, Hosts, { service });
  }

  /** What a name in a zone points to; `null` if the token may not read that. */
  async dnsRecords(zone: string, name: string): Promise<string[] | null> {
    const answer = await this.#client
      .get(`/zones/${zone}/dns_records`, { query: { name } })
      .catch((reason: unknown) => {
        // Reading records is a permission of its own, which a deployment does not need otherwise.
        if (reason instanceof APIError && (reason.status === 403 || reason.status === 401)) return null;
        return explain(reason);
      });
    if (answer === null) return null;
    return DnsRecords.parse(Envelope.parse(answer).result).map(({ type, content }) => `${type} ${content}`);
  }

  async namespace(): Promise<FoundNamespace> {
    const found = await this.#find(this.#namespace, z.unknown());
    return { kind: found === null ? "none" : "there" };
  }

  async createNamespace(): Promise<void> {
    await this.#client.post(this.#namespaces, { body: { name: this.names.namespace } }).catch(explain);
  }

  /** The account's name on workers.dev; `null` if it has none. Durable Objects need it, even if nothing is served there. */
  async subdomain(): Promise<string | null> {
    const found = await this.#find(`${this.#path}/subdomain`, Subdomain);
    return found?.subdomain || null;
  }

  async registerSubdomain(subdomain: string): Promise<void> {
    await this.#client.put(`${this.#path}/subdomain`, { body: { subdomain } }).catch(explain);
  }

  /** The scripts in the namespace: those that Operator uploaded, and any others. */
  async scripts(): Promise<{ own: string[]; others: string[] }> {
    const scripts = (await this.#find(`${this.#namespace}/scripts`, Scripts)) ?? [];
    const isOwn = ({ tags }: (typeof scripts)[number]) => OWN_TAGS.some((tag) => tags?.includes(tag) === true);
    return {
      own: scripts.filter(isOwn).map(({ id }) => id),
      others: scripts.filter((script) => !isOwn(script)).map(({ id }) => id),
    };
  }

  deleteScript(name: string): Promise<void> {
    return this.#delete(`${this.#namespace}/scripts/${name}?force=true`);
  }

  deleteNamespace(): Promise<void> {
    return this.#delete(this.#namespace);
  }

  deleteWorker(name: string): Promise<void> {
    return this.#delete(`${this.#path}/scripts/${name}?force=true`);
  }

  deleteHost(id: string): Promise<void> {
    return this.#delete(`${this.#path}/domains/${id}`);
  }

  deleteRoute(zone: string, id: string): Promise<void> {
    return this.#delete(`/zones/${zone}/workers/routes/${id}`);
  }

  async #get<Schema extends z.ZodType>(
    path: string,
    schema: Schema,
    query: Record<string, string> = {},
  ): Promise<z.infer<Schema>> {
    const answer: unknown = await this.#client.get(path, { query }).catch(explain);
    return schema.parse(Envelope.parse(answer).result);
  }

  /** The same, or `null` if there is nothing at the path. */
  async #find<Schema extends z.ZodType>(path: string, schema: Schema): Promise<z.infer<Schema> | null> {
    try {
      return await this.#get(path, schema);
    } catch (reason) {
      if (reason instanceof NotFoundError) return null;
      throw reason;
    }
  }

  /** Succeeds if there is nothing to delete, so that an interrupted removal can be repeated. */
  async #delete(path: string): Promise<void> {
    try {
      await this.#client.delete(path);
    } catch (reason) {
      if (!(reason instanceof NotFoundError)) explain(reason);
    }
  }
}

/** Cloudflare's refusals, with what to do about them. */
function explain(reason: unknown): never {
  if (!(reason instanceof APIError) || reason instanceof NotFoundError) throw reason;
  if (reason.status === 401)
    throw new Error(
      "Cloudflare does not know this CLOUDFLARE_API_TOKEN. Create one: dash.cloudflare.com/profile/api-tokens",
      {
        cause: reason,
      },
    );
  if (reason.status === 403)
    throw new Error(
      "Cloudflare refuses: the token lacks a permission (Workers Scripts: Edit, Workers Routes: Edit, Zone: Read), or the account has no Workers for Platforms. It is a paid add-on: dash.cloudflare.com, Workers & Pages, Workers for Platforms.",
      { cause: reason },
    );
  throw reason;
}
