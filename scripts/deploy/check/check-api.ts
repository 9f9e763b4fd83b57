import Cloudflare, { APIError } from "cloudflare";
import * as z from "zod";
import type { Credentials } from "../account.ts";

/** An upload of a megabyte over a slow connection. Milliseconds. */
const TIMEOUT_MS = 60_000;

const Subdomain = z.object({ result: z.object({ subdomain: z.string().nullish() }) });
const Scripts = z.object({ result: z.array(z.object({ id: z.string(), migration_tag: z.string().nullish() })) });

/** The part of Cloudflare's API that a free account has, as far as the check needs it. */
export class CheckApi {
  readonly #client: Cloudflare;
  readonly #path: string;

  constructor({ accountId, apiToken, apiUrl }: Credentials) {
    this.#client = new Cloudflare({ apiToken, baseURL: apiUrl, timeout: TIMEOUT_MS });
    this.#path = `/accounts/${accountId}/workers`;
  }

  /** The account's name on workers.dev; `null` if it has none. */
  async subdomain(): Promise<string | null> {
    const found = Subdomain.parse(await this.#client.get(`${this.#path}/subdomain`));
    return found.result.subdomain || null;
  }

  async upload(name: string, form: FormData): Promise<void> {
    await this.#client.put(`${this.#path}/scripts/${name}`, { body: form });
  }

  /** Serves a script at `<name>.<subdomain>.workers.dev`. */
  async publish(name: string): Promise<void> {
    const body = { enabled: true, previews_enabled: false };
    await this.#client.post(`${this.#path}/scripts/${name}/subdomain`, { body });
  }

  /** The tag of the last migration that a script has; `null` if it has none. */
  async migrationTag(name: string): Promise<string | null> {
    const { result } = Scripts.parse(await this.#client.get(`${this.#path}/scripts`));
    return result.find(({ id }) => id === name)?.migration_tag ?? null;
  }

  async delete(name: string): Promise<void> {
    await this.#client.delete(`${this.#path}/scripts/${name}?force=true`);
  }
}

/** The codes of an API error; empty for any other failure. */
export function codesIn(reason: unknown): number[] {
  return reason instanceof APIError ? reason.errors.flatMap(({ code }) => code ?? []) : [];
}
