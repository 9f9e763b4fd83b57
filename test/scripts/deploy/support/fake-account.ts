import type { IncomingMessage, ServerResponse } from "node:http";
import type { DeployWorkers } from "../../../../scripts/deploy/plan.ts";
import { namesOf } from "../../../../scripts/deploy/account.ts";
import { PlatformFailure } from "../../../../scripts/local/platform/error.ts";
import { bodyOf, HttpServer } from "../../connector/support/http-server.ts";
import { AccountWorkers, ApiError } from "./account-workers.ts";

type Zone = { id: string; name: string };
type Route = { id: string; pattern: string; script?: string };
type Host = { id: string; hostname: string; service: string };

const WORKERS = "/accounts/acc/workers";

/** A Cloudflare account in one of the states that a deployment may meet, behind an HTTP API with Cloudflare's paths and envelope. */
export class FakeAccount implements AsyncDisposable {
  zones: Zone[] = [{ id: "z1", name: "example.com" }];
  routes: Route[] = [];
  hosts: Host[] = [];
  /** Proxied DNS records of the zone, by name. `null`: the token may not read them. */
  dns: Record<string, string> | null = { "operator.example.com": "192.0.2.1", "*.operator.example.com": "192.0.2.1" };
  readonly workers = new AccountWorkers();
  /** Dispatch namespaces by name: the tags of their scripts. */
  readonly namespaces = new Map<string, Map<string, string[]>>();
  subdomain: string | null = "mine";
  /** Workers for Platforms is not part of the account's plan. */
  isEntitled = true;
  /** The token has rights on the zone alone, not on all zones, so that routes are changed one by one. */
  hasOneZone = false;
  /** Changes fail from this one on, as if the network had gone. */
  failsAtChange = Infinity;
  /** Requests whose path ends with this fail. */
  failsAt: string | null = null;
  readonly changes: string[] = [];
  #http: HttpServer | null = null;

  static async start(): Promise<FakeAccount> {
    const account = new FakeAccount();
    account.#http = await HttpServer.start((request, response) => account.#answer(request, response));
    return account;
  }

  get credentials() {
    if (this.#http === null) throw new Error("not started");
    return { accountId: "acc", apiToken: "token", apiUrl: this.#http.url.origin };
  }

  /** The changes that wrangler makes to the account, without wrangler. */
  deployer(domain: string, name = "operator"): DeployWorkers {
    const names = namesOf(name);
    const text = { type: "plain_text", name: "DOMAIN", text: domain } as const;
    return {
      dispatch: async () => {
        this.#change(`deploy ${names.dispatch}`);
        this.workers.set(names.dispatch, [
          { type: "dispatch_namespace", name: "DISPATCH", namespace: names.namespace },
          text,
        ]);
      },
      control: async () => {
        this.#change(`deploy ${names.control}`);
        this.workers.set(names.control, [
          { type: "service", name: "DISPATCHER", service: names.dispatch },
          { type: "durable_object_namespace", name: "USER", class_name: "User" },
          text,
        ]);
        this.#setRoutes(names.control, routesTo(names.control, domain));
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http?.[Symbol.asyncDispose]();
  }

  #setRoutes(script: string, routes: readonly Route[]): void {
    this.routes = [...this.routes.filter((route) => route.script !== script), ...routes];
  }

  #change(what: string): void {
    if (this.changes.length + 1 >= this.failsAtChange) throw new Error(`the network is gone at: ${what}`);
    this.changes.push(what);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", "http://fake");
    const method = request.method ?? "";
    const body = await bodyOf(request);
    try {
      if (request.headers.authorization !== "Bearer token") throw new ApiError(401, 9109, "Invalid access token");
      if (this.failsAt !== null && url.pathname.endsWith(this.failsAt)) throw new Error("the network is gone");
      if (method !== "GET") this.#change(`${method} ${url.pathname.replace(WORKERS, "")}`);
      const type = request.headers["content-type"] ?? "";
      const isForm = type.startsWith("multipart/form-data");
      const form = isForm ? await new Response(body, { headers: { "content-type": type } }).formData() : null;
      const json: unknown = isForm || body.length === 0 ? null : JSON.parse(body.toString());
      const result = await this.#result(method, url, form, json);
      if (result === undefined) throw new ApiError(404, 10_007, `nothing at ${url.pathname}`);
      send(response, 200, result);
    } catch (reason) {
      if (reason instanceof ApiError) send(response, reason.status, null, reason.code, reason.message);
      else if (reason instanceof PlatformFailure) send(response, 400, null, 10_021, reason.message);
      else send(response, 400, null, 10_000_000, String(reason));
    }
  }

  /** The result of a request, or `undefined` if there is nothing at its path. */
  #result(method: string, { pathname, searchParams }: URL, form: FormData | null, json: unknown): unknown {
    if (pathname === "/zones") return this.zones.filter(({ name }) => name === searchParams.get("name"));
    if (pathname.startsWith("/zones/z1/"))
      return this.#zone(method, pathname.slice("/zones/z1".length), json, searchParams);
    const path = pathname.replace(WORKERS, "");
    if (path === "/subdomain") {
      if (method === "PUT") this.subdomain = "registered";
      return this.subdomain === null ? undefined : { subdomain: this.subdomain };
    }
    if (path.startsWith("/domains")) return this.#domains(method, path, searchParams);
    if (path.startsWith("/dispatch/namespaces")) return this.#dispatch(method, path, json);
    const [, worker, rest = ""] = /^\/(?:scripts|services)\/([^/]+)(\/.*)?$/.exec(path) ?? [];
    if (worker === undefined) return undefined;
    if (rest === "/routes" && method === "PUT") return this.#putRoutes(worker, json as { pattern: string }[]);
    if (rest === "/domains/records")
      return this.#putHosts(worker, (json as { origins: { hostname: string }[] }).origins);
    return this.workers.answer(method, path, { form, json, subdomain: this.subdomain, namespaces: this.namespaces });
  }

  #zone(method: string, path: string, json: unknown, query: URLSearchParams): unknown {
    if (path === "/dns_records") {
      if (this.dns === null) throw new ApiError(403, 10_000, "Authentication error");
      const content = this.dns[query.get("name") ?? ""];
      return content === undefined ? [] : [{ type: "A", content }];
    }
    const [, route] = /^\/workers\/routes(?:\/(.+))?$/.exec(path) ?? [];
    if (method === "DELETE") this.routes = this.routes.filter(({ id }) => id !== route);
    if (method !== "POST") return this.routes;
    const { pattern, script } = json as { pattern: string; script: string };
    const made = { id: idOf(`${script} ${pattern}`), pattern, script };
    this.routes.push(made);
    return made;
  }

  /** As Cloudflare's: replaces all routes of the Worker, and needs rights on all zones. */
  #putRoutes(script: string, wanted: readonly { pattern: string }[]): string[] {
    if (this.hasOneZone) throw new ApiError(403, 10_000, "Authentication error");
    const patterns = wanted.map(({ pattern }) => pattern);
    if (this.routes.some((route) => patterns.includes(route.pattern) && route.script !== script))
      throw new ApiError(409, 10_020, "a route with the same pattern already exists");
    this.#setRoutes(
      script,
      patterns.map((pattern) => ({ id: idOf(`${script} ${pattern}`), pattern, script })),
    );
    return patterns;
  }

  /** As Cloudflare's when it is told to override: takes the host from any other Worker, and replaces its DNS record. */
  #putHosts(service: string, origins: readonly { hostname: string }[]): object {
    for (const { hostname } of origins) {
      this.hosts = this.hosts.filter((host) => host.hostname !== hostname);
      this.hosts.push({ id: idOf(hostname), hostname, service });
    }
    return {};
  }

  #domains(method: string, path: string, query: URLSearchParams): unknown {
    if (method === "DELETE") this.hosts = this.hosts.filter(({ id }) => path !== `/domains/${id}`);
    const wanted = (["hostname", "service"] as const).filter((field) => query.has(field));
    return this.hosts.filter((host) => wanted.every((field) => host[field] === query.get(field)));
  }

  #dispatch(method: string, path: string, json: unknown): unknown {
    if (!this.isEntitled) throw new ApiError(403, 10_121, "You do not have access to dispatch namespaces.");
    const [, name, scripts, script] = /^\/dispatch\/namespaces(?:\/([^/]+)(\/scripts(?:\/(.+))?)?)?$/.exec(path) ?? [];
    if (name === undefined) {
      if (method === "POST") this.namespaces.set((json as { name: string }).name, new Map());
      return [...this.namespaces.keys()].map((one) => ({ namespace_id: one, namespace_name: one }));
    }
    const namespace = this.namespaces.get(name);
    if (namespace === undefined) return undefined;
    if (script !== undefined) return namespace.delete(script) ? {} : undefined;
    if (scripts !== undefined) return [...namespace].map(([id, tags]) => ({ id, tags }));
    if (method === "DELETE") this.namespaces.delete(name);
    return { namespace_name: name };
  }
}

export function routesTo(script: string, domain: string): Route[] {
  return [`${domain}/*`, `*.${domain}/*`].map((pattern) => ({ id: idOf(`${script} ${pattern}`), pattern, script }));
}

function idOf(text: string): string {
  return text.replaceAll(/\W/g, "-");
}

function send(response: ServerResponse, status: number, result: unknown, code = 0, message = ""): void {
  const errors = status < 400 ? [] : [{ code, message }];
  const count = Array.isArray(result) ? result.length : 0;
  const result_info = { page: 1, per_page: 100, count, total_count: count, total_pages: 1 };
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ success: status < 400, errors, messages: [], result, result_info }));
}
