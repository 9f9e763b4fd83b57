import { HostedServer, type ServerConfig } from "#protocol/hosted-server.ts";
import { MachineDetail } from "#protocol/rest-api.ts";
import * as z from "zod";
import { OPERATOR_COMMAND } from "../../local/program.ts";
import { type OperatorApi, OperatorApiError } from "../operator-api.ts";
import type { BundledModule } from "./server-folder.ts";

/** An upload of 8 MB over a slow connection, and the platform's own check of it. Milliseconds. */
const UPLOAD_TIMEOUT_MS = 120_000;

const Servers = z.object({ servers: z.array(HostedServer) });
const Secrets = z.object({ secrets: z.array(z.string()) });

/** The control API's REST interface for hosted servers, with its caller's token. */
export class ServerApi {
  readonly #api: OperatorApi;

  constructor(api: OperatorApi) {
    this.#api = api;
  }

  get headers(): { authorization: string } {
    return this.#api.headers;
  }

  async list(): Promise<HostedServer[]> {
    return Servers.parse(await this.#api.ask("GET", "/api/servers")).servers;
  }

  async deploy(name: string, config: ServerConfig, modules: readonly BundledModule[]): Promise<HostedServer> {
    const form = new FormData();
    form.set("config", JSON.stringify(config));
    for (const { name: part, type, content } of modules) form.set(part, new File([content], part, { type }));
    // Encoded here, so that the request has a Content-Length.
    const encoded = new Response(form);
    const type = encoded.headers.get("content-type") ?? "";
    return HostedServer.parse(
      await this.#api.ask("PUT", pathOf(name), await encoded.arrayBuffer(), type, UPLOAD_TIMEOUT_MS),
    );
  }

  async rollback(name: string, version: number | undefined): Promise<HostedServer> {
    const body = JSON.stringify(version === undefined ? {} : { version });
    return HostedServer.parse(await this.#ask(name, "POST", "/rollback", body));
  }

  async delete(name: string): Promise<void> {
    await this.#ask(name, "DELETE", "");
  }

  async secrets(name: string): Promise<string[]> {
    return Secrets.parse(await this.#ask(name, "GET", "/secrets")).secrets;
  }

  async putSecret(name: string, secret: string, value: string): Promise<void> {
    await this.#ask(name, "PUT", `/secrets/${encodeURIComponent(secret)}`, JSON.stringify({ value }));
  }

  async deleteSecret(name: string, secret: string): Promise<void> {
    await this.#ask(name, "DELETE", `/secrets/${encodeURIComponent(secret)}`);
  }

  /** Which version answers; `null` while the script does not. */
  async runningTemplate(name: string): Promise<string | null> {
    const detail = MachineDetail.parse(await this.#api.ask("GET", `/api/machines/${encodeURIComponent(name)}`));
    return detail.state?.template ?? null;
  }

  /** Asks about a server that is there already. Operator's own words for another would be about machines. */
  #ask(name: string, method: string, rest: string, body?: string): Promise<unknown> {
    return this.#api.ask(method, pathOf(name) + rest, body).catch((reason: unknown) => {
      if (!(reason instanceof OperatorApiError) || reason.code !== "machine_unknown") throw reason;
      const says = `You have no hosted server "${name}". Those that you have: ${OPERATOR_COMMAND} servers list`;
      throw new OperatorApiError(says, reason.code, { cause: reason });
    });
  }
}

function pathOf(name: string): string {
  return `/api/servers/${encodeURIComponent(name)}`;
}
