import type { IncomingMessage, ServerResponse } from "node:http";
import type { DeployWorkers } from "../../../../scripts/deploy/plan.ts";
import { HttpServer } from "../../connector/support/http-server.ts";

type Worker = { type: string; name: string; text?: string }[];
type Zone = { id: string; name: string };
type Route = { id: string; pattern: string; script?: string };

/** A Cloudflare account in one of the states that a deployment may meet, behind an HTTP API with Cloudflare's paths and envelope. */
export class FakeAccount implements AsyncDisposable {
  zones: Zone[] = [{ id: "z1", name: "example.com" }];
  routes: Route[] = [];
  workers = new Map<string, Worker>();
  namespace: Map<string, string[]> | null = null;
  subdomain: string | null = "mine";
  /** Workers for Platforms is not part of the account's plan. */
  isEntitled = true;
  /** Changes fail from this one on, as if the network had gone. */
  failsAtChange = Infinity;
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

  /** The changes that wrangler makes to the account. */
  deployer(domain: string): DeployWorkers {
    const text = { type: "plain_text", name: "DOMAIN", text: domain };
    return {
      dispatch: async () => {
        this.#change("deploy operator-dispatch");
        this.workers.set("operator-dispatch", [{ type: "dispatch_namespace", name: "DISPATCH" }, text]);
      },
      control: async () => {
        this.#change("deploy operator");
        const bindings = [
          { type: "service", name: "DISPATCHER" },
          { type: "durable_object_namespace", name: "USER" },
        ];
        this.workers.set("operator", [...bindings, text]);
        this.routes = [...this.routes.filter(({ script }) => script !== "operator"), ...routesTo("operator", domain)];
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http?.[Symbol.asyncDispose]();
  }

  #change(what: string): void {
    if (this.changes.length + 1 >= this.failsAtChange) throw new Error(`the network is gone at: ${what}`);
    this.changes.push(what);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "", "http://fake");
    const method = request.method ?? "";
    try {
      if (method !== "GET") this.#change(`${method} ${url.pathname.replace("/accounts/acc/workers", "")}`);
      const result = this.#result(method, url);
      send(response, result === undefined ? 404 : 200, result ?? null);
    } catch (reason) {
      send(response, reason instanceof Forbidden ? 403 : 400, null, String(reason));
    }
  }

  /** The result of a request, or `undefined` if there is nothing at its path. */
  #result(method: string, { pathname, searchParams }: URL): unknown {
    const path = pathname.replace("/accounts/acc/workers", "");
    if (path === "/zones") return this.zones.filter(({ name }) => name === searchParams.get("name"));
    if (path === "/subdomain") {
      if (method === "PUT") this.subdomain = "registered";
      return this.subdomain === null ? undefined : { subdomain: this.subdomain };
    }
    const [, route] = /^\/zones\/z1\/workers\/routes(?:\/(.+))?$/.exec(path) ?? [];
    if (path.startsWith("/zones/")) {
      if (method === "DELETE") this.routes = this.routes.filter(({ id }) => id !== route);
      return this.routes;
    }
    const [, worker] = /^\/scripts\/([^/]+)/.exec(path) ?? [];
    if (worker !== undefined) {
      const bindings = this.workers.get(worker);
      if (method === "DELETE") this.workers.delete(worker);
      return bindings === undefined ? undefined : { bindings };
    }
    if (path.startsWith("/dispatch/namespaces")) return this.#dispatch(method, path);
    return undefined;
  }

  #dispatch(method: string, path: string): unknown {
    if (!this.isEntitled) throw new Forbidden("You do not have access to dispatch namespaces.");
    if (method === "POST") this.namespace = new Map();
    const [, script] = /\/scripts\/(.+)$/.exec(path) ?? [];
    if (this.namespace === null) return method === "POST" ? {} : undefined;
    if (script !== undefined) return this.namespace.delete(script) ? {} : undefined;
    if (path.endsWith("/scripts")) return [...this.namespace].map(([id, tags]) => ({ id, tags }));
    if (method === "DELETE") this.namespace = null;
    return { namespace_name: "operator" };
  }
}

class Forbidden extends Error {}

export function routesTo(script: string, domain: string): Route[] {
  return [`${domain}/*`, `*.${domain}/*`].map((pattern) => ({
    id: `${script} ${pattern}`.replaceAll(/\W/g, "-"),
    pattern,
    script,
  }));
}

function send(response: ServerResponse, status: number, result: unknown, message = "not found"): void {
  const errors = status < 400 ? [] : [{ code: 10_000, message }];
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ success: status < 400, errors, messages: [], result }));
}
