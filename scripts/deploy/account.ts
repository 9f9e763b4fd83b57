import Cloudflare, { APIError, NotFoundError } from "cloudflare";
import * as z from "zod";

/** The Workers and the namespace of one Operator. One account has one. */
export const NAMES = { control: "operator", dispatch: "operator-dispatch", namespace: "operator" } as const;

/** Tags of the scripts that Operator uploads into the namespace (`#protocol/machine-upload.ts`, and `hosted-form.ts` of the control API). */
const OWN_TAGS = ["operator-machine", "operator-hosted"] as const;

/** A call to Cloudflare's API that takes longer has failed. Milliseconds. */
const TIMEOUT_MS = 30_000;

export type Credentials = { readonly accountId: string; readonly apiToken: string; readonly apiUrl: string };

/** A Worker in the account, as far as it matters here: nothing of that name, this Operator's, or something else. */
export type FoundWorker = { kind: "none" } | { kind: "ours"; domain: string } | { kind: "foreign" };
export type Route = { id: string; pattern: string; script: string | null };
export type FoundNamespace = { kind: "none" } | { kind: "there" };

const Envelope = z.object({ result: z.unknown() });
const Bindings = z.object({
  bindings: z.array(z.looseObject({ type: z.string(), name: z.string(), text: z.string().optional() })).default([]),
});
const Zones = z.array(z.object({ id: z.string(), name: z.string() }));
const Routes = z.array(z.object({ id: z.string(), pattern: z.string(), script: z.string().nullish() }));
const Scripts = z.array(z.object({ id: z.string(), tags: z.array(z.string()).nullish() }));
const Subdomain = z.object({ subdomain: z.string().nullish() });

/** What is in a Cloudflare account, and the few changes that wrangler does not make. */
export class Account {
  readonly #client: Cloudflare;
  readonly #path: string;
  readonly #namespaces: string;

  constructor({ accountId, apiToken, apiUrl }: Credentials) {
    this.#client = new Cloudflare({ apiToken, baseURL: apiUrl, timeout: TIMEOUT_MS });
    this.#path = `/accounts/${accountId}/workers`;
    this.#namespaces = `${this.#path}/dispatch/namespaces`;
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
      name === NAMES.dispatch
        ? has("dispatch_namespace", "DISPATCH")
        : has("service", "DISPATCHER") && has("durable_object_namespace", "USER");
    return isOurs && domain !== undefined ? { kind: "ours", domain } : { kind: "foreign" };
  }

  async namespace(): Promise<FoundNamespace> {
    const found = await this.#find(`${this.#namespaces}/${NAMES.namespace}`, z.unknown());
    return { kind: found === null ? "none" : "there" };
  }

  async createNamespace(): Promise<void> {
    await this.#client.post(this.#namespaces, { body: { name: NAMES.namespace } }).catch(explain);
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
    const scripts = (await this.#find(`${this.#namespaces}/${NAMES.namespace}/scripts`, Scripts)) ?? [];
    const isOwn = ({ tags }: (typeof scripts)[number]) => OWN_TAGS.some((tag) => tags?.includes(tag) === true);
    return {
      own: scripts.filter(isOwn).map(({ id }) => id),
      others: scripts.filter((script) => !isOwn(script)).map(({ id }) => id),
    };
  }

  deleteScript(name: string): Promise<void> {
    return this.#delete(`${this.#namespaces}/${NAMES.namespace}/scripts/${name}?force=true`);
  }

  deleteNamespace(): Promise<void> {
    return this.#delete(`${this.#namespaces}/${NAMES.namespace}`);
  }

  deleteWorker(name: string): Promise<void> {
    return this.#delete(`${this.#path}/scripts/${name}?force=true`);
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
