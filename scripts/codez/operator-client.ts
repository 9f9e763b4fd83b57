import { MachineDetail, MachineSummary, Registration, type RegisterRequest } from "#protocol/rest-api.ts";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { bounded } from "../system/bounded-fetch.ts";
import { mcpClient } from "../system/mcp-client.ts";
import { mcpFailure } from "../mcp-failure.ts";
import { operatorFetch } from "../trust/operator-fetch.ts";
import { ExitCode } from "./exit-code.ts";
import { CodezFailure } from "./failure.ts";
import { VERSION } from "./version.ts";

/** Where `npm start` listens. */
export const LOCAL_OPERATOR = "http://127.0.0.1:8787";

/** Registering a machine uploads a script, which takes Cloudflare several seconds. */
const REQUEST_TIMEOUT_MS = 60_000;

/** Pages of the list of machines. A hostile Operator has a next one for ever. */
const MAX_PAGES = 100;

/** A field of an answer is named by its path, which an Operator can make long. */
const MAX_FIELD_CHARACTERS = 100;

/** A schema of either of Zod's kinds. */
type Shape<Said> = {
  safeParse(
    value: unknown,
  ):
    | { readonly success: true; readonly data: Said }
    | { readonly success: false; readonly error: { readonly issues: readonly { readonly path: PropertyKey[] }[] } };
};

const ErrorBody = z.object({ error: z.object({ code: z.string(), message: z.string() }) });
/** `cursor` is missing in the last page. */
const MachineList = z.object({ machines: z.array(MachineSummary), cursor: z.string().optional() });
const Presences = z.object({
  machines: z.array(z.looseObject({ name: z.string(), status: z.string() })),
  cursor: z.nullable(z.string()).default(null),
});
/** `former`: what is left of computers that had the name before. An Operator of version 0.2 does not say. */
const Forgotten = z.object({ events: z.number(), sessions: z.number(), former: z.number().default(0) });
const Tools = z.object({ tools: z.array(z.unknown()) });

/** A client of one Operator: its REST API and its `/mcp`, as one person. Every method throws `CodezFailure` with what to do. */
export class OperatorClient {
  readonly origin: string;
  readonly #token: string | null;

  constructor(origin: string, token: string | null) {
    this.origin = origin;
    this.#token = token;
  }

  async register(request: RegisterRequest): Promise<Registration> {
    return this.read(Registration, "POST", "/api/machines", request);
  }

  async machines(): Promise<MachineSummary[]> {
    const machines: MachineSummary[] = [];
    let path = "/api/machines";
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      const page = await this.read(MachineList, "GET", path);
      for (const machine of page.machines) machines.push(machine);
      if (page.cursor === undefined) return machines;
      path = `/api/machines?cursor=${encodeURIComponent(page.cursor)}`;
    }
    throw this.#unreachable("its list of machines has no end");
  }

  async machine(name: string): Promise<MachineDetail> {
    return this.read(MachineDetail, "GET", pathOf(name));
  }

  async rename(name: string, to: string): Promise<MachineSummary> {
    return this.read(MachineSummary, "PATCH", pathOf(name), { name: to });
  }

  async remove(name: string): Promise<void> {
    await this.ask("DELETE", pathOf(name));
  }

  /** Deletes a machine's history, or a session's; with `former`, that of the computers that had the machine's name before. */
  async forget(machine: string, session: string | null, former: boolean): Promise<z.infer<typeof Forgotten>> {
    const more = { ...(session !== null && { session }), ...(former && { former: "true" }) };
    const query = new URLSearchParams({ machine, ...more });
    return this.read(Forgotten, "DELETE", `/api/history?${query}`);
  }

  /** @param linkKey the public key to which the link must be bound. */
  async rotate(name: string, linkKey: string): Promise<Registration> {
    return this.read(Registration, "POST", `${pathOf(name)}/token`, { linkKey });
  }

  /** Undoes the last takeover of a machine, or the last change of its key. */
  async restore(name: string): Promise<MachineSummary> {
    return this.read(MachineSummary, "POST", `${pathOf(name)}/restore`);
  }

  /** A machine's status according to `/mcp`, which is asked as by any MCP client; `null` when the machine is not in the list. */
  async statusAtMcp(name: string): Promise<string | null> {
    let cursor: string | null = null;
    for (let pages = 0; pages < MAX_PAGES; pages += 1) {
      // An Operator of version 0.2 knows neither parameter, lists all machines and has no cursor.
      const asked = { query: name, ...(cursor === null ? {} : { cursor }) };
      const page: z.infer<typeof Presences> = Presences.parse(await this.#callAtMcp("list_machines", asked));
      const found = page.machines.find((machine) => machine.name === name);
      if (found !== undefined) return found.status;
      ({ cursor } = page);
      if (cursor === null) return null;
    }
    throw this.#unreachable("its list of machines has no end");
  }

  /** The number of tools of a machine's own server, asked through `/mcp`: a call that goes to the machine and back. */
  async toolsAtMcp(machineId: string): Promise<number> {
    return Tools.parse(await this.#callAtMcp("list_tools", { machineId })).tools.length;
  }

  async #callAtMcp(tool: string, args: Record<string, unknown>): Promise<unknown> {
    const { Client, StreamableHTTPClientTransport } = await mcpClient();
    const client = new Client({ name: "codez-setup", version: VERSION }, { versionNegotiation: { mode: "auto" } });
    const headers = this.#headers();
    try {
      await client.connect(
        new StreamableHTTPClientTransport(new URL("/mcp", this.origin), {
          requestInit: { headers },
          fetch: operatorFetch,
        }),
      );
      const result = await client.callTool({ name: tool, arguments: args });
      if (result.isError === true) throw new Error(textOf(result.content));
      return result.structuredContent;
    } catch (reason) {
      throw new CodezFailure(
        ExitCode.NOT_ONLINE,
        `${this.origin}/mcp did not answer ${tool}: ${messageOf(reason)}`,
        "Look at Operator's own output, then run setup again.",
        reason,
      );
    } finally {
      await client.close();
    }
  }

  /** What an answer of the REST API says. Operator may be of a release that says something else, or no Operator may be there. */
  async read<Said>(shape: Shape<Said>, method: string, path: string, body?: unknown): Promise<Said> {
    const said = shape.safeParse(await this.ask(method, path, body));
    if (said.success) return said.data;
    const field = said.error.issues[0]?.path.join(".").slice(0, MAX_FIELD_CHARACTERS) ?? "";
    throw new CodezFailure(
      ExitCode.HUB_UNREACHABLE,
      `Operator at ${this.origin} answered ${method} ${new URL(path, this.origin).pathname} with something else than expected${field === "" ? "" : ` (${field})`}.`,
      "Check that --hub is the address of an Operator, and that this codez and that Operator are of the same release.",
      said.error,
    );
  }

  /** Sends a request to the REST API. Returns the JSON, or `null` when the answer has no body. */
  async ask(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await this.#fetch(method, path, body);
    if (response.status === 204) return null;
    const answer = await this.#jsonOf(response);
    if (response.ok && answer !== undefined) return answer;
    throw this.#refusal(response.status, ErrorBody.safeParse(answer).data?.error ?? null);
  }

  /** Opens an event stream after the event with the id `lastEventId`. Throws `CodezFailure` if it cannot be opened. */
  async stream(path: string, lastEventId: string | null): Promise<ReadableStream<Uint8Array>> {
    const headers = {
      ...this.#headers(),
      accept: "text/event-stream",
      ...(lastEventId === null ? {} : { "last-event-id": lastEventId }),
    };
    // The stream itself has no end, and no time limit. Silence is noticed by its reader.
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(new Error("it did not answer in time")), REQUEST_TIMEOUT_MS);
    try {
      const init = { headers, signal: late.signal };
      const asked = operatorFetch(new URL(path, this.origin), init, Number.POSITIVE_INFINITY);
      const response = await asked.catch((reason: unknown) => {
        throw this.#unreachable(reason);
      });
      if (response.ok && response.body !== null) return response.body;
      // Operator, or what is in front of it, is restarting, or there were too many requests. That passes.
      if (response.status >= 500 || response.status === 429) {
        await response.body?.cancel();
        throw this.#unreachable(`HTTP ${response.status}`);
      }
      throw this.#refusal(
        response.status,
        ErrorBody.safeParse(await this.#jsonOf(bounded(response))).data?.error ?? null,
      );
    } finally {
      clearTimeout(timer);
    }
  }

  async #fetch(method: string, path: string, body: unknown): Promise<Response> {
    const headers = { ...this.#headers(), ...(body === undefined ? {} : { "content-type": "application/json" }) };
    try {
      return await operatorFetch(new URL(path, this.origin), {
        method,
        headers,
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
    } catch (reason) {
      throw this.#unreachable(reason);
    }
  }

  /** The JSON of an answer, or `undefined` when it is something else. */
  async #jsonOf(response: Response): Promise<unknown> {
    const text = await response.text().catch((reason: unknown) => {
      throw this.#unreachable(reason);
    });
    return parseJson(text);
  }

  #unreachable(reason: unknown): CodezFailure {
    return new CodezFailure(
      ExitCode.HUB_UNREACHABLE,
      `Operator at ${this.origin} cannot be reached: ${messageOf(reason)}`,
      this.origin === LOCAL_OPERATOR
        ? "Start it with `npm start` in its clone, or give the address of yours: --hub https://operator.example.com"
        : "Check the address (--hub) and this computer's network.",
      reason,
    );
  }

  #headers(): Record<string, string> {
    return this.#token === null ? {} : { authorization: `Bearer ${this.#token}` };
  }

  #refusal(status: number, error: { code: string; message: string } | null): CodezFailure {
    const message = error?.message ?? `Operator at ${this.origin} answered with HTTP ${status}`;
    if (status === 401)
      return new CodezFailure(
        ExitCode.NOT_SIGNED_IN,
        `Operator at ${this.origin} requires a valid token.`,
        "Sign in again, or set CODEZ_HUB_TOKEN to a valid personal access token of that Operator.",
      );
    switch (error?.code) {
      case "name_taken":
        return new CodezFailure(ExitCode.NAME_TAKEN, message, "codez setup <another-name>, or add --replace");
      case "machine_unknown":
        return new CodezFailure(ExitCode.MACHINE_UNKNOWN, message, "codez machines");
      case "machine_replaced":
        return new CodezFailure(
          ExitCode.REFUSED,
          message,
          "codez machines; and to watch the machine that has the name now, give it another file: codez watch --cursor <file>",
        );
      case undefined:
        return new CodezFailure(
          ExitCode.HUB_UNREACHABLE,
          message,
          "Check that --hub is the address of an Operator, and look at its output.",
        );
      default:
        return new CodezFailure(ExitCode.REFUSED, message, "codez --help");
    }
  }
}

/** The text of a tool's result. */
function textOf(content: readonly { type: string; text?: unknown }[]): string {
  return content.flatMap(({ text }) => (typeof text === "string" ? text : [])).join(" ");
}

function pathOf(name: string): string {
  return `/api/machines/${encodeURIComponent(name)}`;
}

/** The message of the underlying error: `fetch` itself only says "fetch failed". */
function messageOf(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason);
  const { cause } = reason;
  if (cause instanceof Error) return messageOf(cause.message === "" && "code" in cause ? cause.code : cause);
  return mcpFailure(reason);
}
