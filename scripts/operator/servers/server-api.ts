import { HostedServer, type ServerConfig } from "#protocol/hosted-server.ts";
import { MachineDetail } from "#protocol/rest-api.ts";
import * as z from "zod";
import { readOwnerToken } from "../../system/owner-token.ts";
import type { BundledModule } from "./server-folder.ts";

/** An upload of 8 MB over a slow connection, and the platform's own check of it. Milliseconds. */
const UPLOAD_TIMEOUT_MS = 120_000;
const TIMEOUT_MS = 30_000;

const Servers = z.object({ servers: z.array(HostedServer) });
const Secrets = z.object({ secrets: z.array(z.string()) });
const Failure = z.object({ error: z.object({ message: z.string() }) });

/** Operator refused a request, in its own words. */
class ServerApiError extends Error {
  override readonly name = "ServerApiError";
}

/** The control API's REST interface for hosted servers, with its caller's token. */
export class ServerApi {
  readonly origin: string;
  readonly #token: string;

  /**
   * @param origin Operator's address
   * @param token a personal access token; without one, that of the Operator on this computer
   */
  constructor(origin: string, token = readOwnerToken(origin)) {
    if (token === null)
      throw new ServerApiError(
        `${origin} needs a token. Create one with \`codez tokens create servers --hub ${origin}\`, and set OPERATOR_TOKEN to it.`,
      );
    this.origin = origin;
    this.#token = token;
  }

  get headers(): { authorization: string } {
    return { authorization: `Bearer ${this.#token}` };
  }

  async list(): Promise<HostedServer[]> {
    return Servers.parse(await this.#ask("GET", "/api/servers")).servers;
  }

  async deploy(name: string, config: ServerConfig, modules: readonly BundledModule[]): Promise<HostedServer> {
    const form = new FormData();
    form.set("config", JSON.stringify(config));
    for (const { name: part, type, content } of modules) form.set(part, new File([content], part, { type }));
    // Encoded here, so that the request has a Content-Length.
    const encoded = new Response(form);
    const type = encoded.headers.get("content-type") ?? "";
    return HostedServer.parse(
      await this.#ask("PUT", pathOf(name), await encoded.arrayBuffer(), type, UPLOAD_TIMEOUT_MS),
    );
  }

  async rollback(name: string, version: number | undefined): Promise<HostedServer> {
    const body = JSON.stringify(version === undefined ? {} : { version });
    return HostedServer.parse(await this.#ask("POST", `${pathOf(name)}/rollback`, body));
  }

  async delete(name: string): Promise<void> {
    await this.#ask("DELETE", pathOf(name));
  }

  async secrets(name: string): Promise<string[]> {
    return Secrets.parse(await this.#ask("GET", `${pathOf(name)}/secrets`)).secrets;
  }

  async putSecret(name: string, secret: string, value: string): Promise<void> {
    await this.#ask("PUT", `${pathOf(name)}/secrets/${encodeURIComponent(secret)}`, JSON.stringify({ value }));
  }

  async deleteSecret(name: string, secret: string): Promise<void> {
    await this.#ask("DELETE", `${pathOf(name)}/secrets/${encodeURIComponent(secret)}`);
  }

  /** Which version answers; `null` while the script does not. */
  async runningTemplate(name: string): Promise<string | null> {
    const detail = MachineDetail.parse(await this.#ask("GET", `/api/machines/${encodeURIComponent(name)}`));
    return detail.state?.template ?? null;
  }

  async #ask(
    method: string,
    path: string,
    body?: string | ArrayBuffer,
    type = "application/json",
    timeoutMs = TIMEOUT_MS,
  ): Promise<unknown> {
    const response = await fetch(new URL(path, this.origin), {
      method,
      headers: { ...this.headers, ...(body === undefined ? {} : { "content-type": type }) },
      ...(body === undefined ? {} : { body }),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((reason: unknown) => {
      throw new ServerApiError(`${this.origin} cannot be reached. Is Operator running there?`, { cause: reason });
    });
    const text = await response.text();
    if (response.ok) return text === "" ? null : JSON.parse(text);
    throw new ServerApiError(messageIn(text) ?? `${this.origin} answered HTTP ${response.status}`);
  }
}

function messageIn(text: string): string | null {
  try {
    return Failure.parse(JSON.parse(text)).error.message;
  } catch {
    return null; // not one of Operator's own errors, so it comes from something in front of it
  }
}

function pathOf(name: string): string {
  return `/api/servers/${encodeURIComponent(name)}`;
}
