import type { AuditEntry } from "../../../control-api/src/audit/entry.ts";
import { createExecutionContext } from "cloudflare:test";
import { env as bindings } from "cloudflare:workers";
import { utf8 } from "#protocol/bytes.ts";
import type { EventPush, LoggedEvent } from "#protocol/event.ts";
import { REPORT_KEY_HEADER, type ReportedPresence } from "#protocol/script-api.ts";
import { slugOf } from "#protocol/slug.ts";
import { tagOf } from "../../../control-api/src/http/caller.ts";
import type { Env } from "../../../control-api/src/env.ts";
import { gate } from "../../../control-api/src/gate.ts";
import { scriptVersion } from "../../../control-api/src/machines/provisioning.ts";
import { reportKeyOf } from "../../../control-api/src/machines/report-key.ts";
import { Reports } from "../../../control-api/src/machines/reports.ts";
import type { Plan, Reached } from "../../support/stand-in/dispatcher.ts";
import type { PlatformCall } from "../../support/stand-in/platform.ts";

/** The control API's own bindings (vitest.config.ts). */
export const env = bindings as unknown as Env;

export const ORIGIN = "http://127.0.0.1:8787";

/** Asks the control API as it would be asked from outside. */
export function knock(url: string, init: RequestInit = {}, overrides: Partial<Env> = {}): Promise<Response> {
  return gate.fetch(new Request(url, init), { ...env, ...overrides }, createExecutionContext());
}

/** The code of one of our errors in a REST answer. */
export async function codeOf(response: Response): Promise<string> {
  const { error }: { error: { code: string } } = await response.json();
  return error.code;
}

export type RpcAnswer = {
  id?: unknown;
  result?: Record<string, unknown>;
  error?: { code: number; message: string; data?: unknown };
};

/** A result of `tools/call`. */
export type ToolResult = {
  content: { type: string; text: string }[];
  structuredContent?: Record<string, unknown>;
  isError?: boolean;
};

export const MODERN = "2026-07-28";

/** A separate user for one test, who calls from this computer or with a token, so that no test sees another's machines. */
export class TestUser {
  readonly id: string;
  readonly #token: string | null;
  /** Up to where each machine's log is stored, as its script was told. */
  readonly #stored = new Map<string, number>();

  constructor(id = `u-${crypto.randomUUID()}`, token: string | null = null) {
    this.id = id;
    this.#token = token;
  }

  fetch(path: string, init: RequestInit = {}): Promise<Response> {
    if (this.#token === null) return knock(`${ORIGIN}${path}`, init, { LOOPBACK_OWNER: this.id });
    const headers = new Headers(init.headers);
    headers.set("authorization", `Bearer ${this.#token}`);
    return knock(`${ORIGIN}${path}`, { ...init, headers });
  }

  rest(method: string, path: string, body?: unknown): Promise<Response> {
    return this.fetch(path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  }

  async json<Value>(path: string): Promise<Value> {
    return (await this.fetch(path)).json();
  }

  register(name: string, more: object = {}): Promise<Response> {
    return this.rest("POST", "/api/machines", { name, identity: `identity-of-${name}`, ...more });
  }

  async slug(name: string): Promise<string> {
    return slugOf(name, await tagOf(this.id));
  }

  /** A registered machine whose script is so. */
  async machine(name: string, plan: Partial<Plan> = {}): Promise<void> {
    const registered = await this.register(name);
    if (!registered.ok) throw new Error(`${name} was not registered: ${await registered.text()}`);
    await this.script(name, plan);
  }

  async script(name: string, plan: Partial<Plan> = {}): Promise<void> {
    const body = JSON.stringify({ owner: this.id, ...plan } satisfies Plan);
    await env.DISPATCHER.fetch(`http://stand-in/${await this.slug(name)}`, { method: "PUT", body });
  }

  /** The requests that reached a machine's script. */
  async reached(name: string): Promise<Reached[]> {
    return (await env.DISPATCHER.fetch(`http://stand-in/${await this.slug(name)}`)).json();
  }

  /** Writes entries into the person's audit log, at times of the test's choice. */
  async audits(entries: readonly AuditEntry[]): Promise<void> {
    await env.USER.getByName(this.id).audit(entries);
  }

  /** The requests to the platform about a machine's script. */
  async platformCalls(name: string): Promise<PlatformCall[]> {
    return (await fetch(`http://platform.test/calls?script=${await this.slug(name)}`)).json();
  }

  /** The machine's script reports. A script that pushes says with `push` which events the object does not have yet. */
  async report(
    name: string,
    presence: Partial<ReportedPresence>,
    key?: string,
    { withFacts = true, push, spaces = 0 }: { withFacts?: boolean; push?: EventPush; spaces?: number } = {},
  ): Promise<Response> {
    const slug = await this.slug(name);
    const report = {
      owner: this.id,
      slug,
      presence: {
        online: true,
        epoch: 1,
        connectedAtMs: 1,
        lastSeenMs: 2,
        ...(withFacts ? { facts: null } : {}),
        position: { epoch: "e", seq: 0 },
        template: scriptVersion(env),
        ...presence,
      },
      ...(push === undefined ? {} : { push }),
    };
    const headers = { [REPORT_KEY_HEADER]: key ?? (await reportKeyOf(this.id, slug, env.REPORT_SECRET)) };
    const body = JSON.stringify(report) + " ".repeat(spaces);
    const request = new Request("http://control/report", { method: "POST", headers, body });
    return new Reports(createExecutionContext(), env).fetch(request);
  }

  /**
   * A machine with this log, whose script pushes what the user's object does not have yet, in reports of at most `pageRows` events.
   */
  async logs(
    name: string,
    events: readonly Partial<LoggedEvent>[],
    {
      epoch = "e",
      pageRows = 500,
      answers = {},
    }: { epoch?: string; pageRows?: number; answers?: NonNullable<Plan["answers"]> } = {},
  ): Promise<void> {
    const log = events.map((event, index) => ({
      seq: index + 1,
      atMs: index,
      type: "message",
      session: null,
      data: null,
      ...event,
    }));
    await this.script(name, { log: { epoch, events: log }, answers });
    const newest = log.at(-1)?.seq ?? 0;
    let after = this.#stored.get(`${name} ${epoch}`) ?? 0;
    for (let reports = 0; after < newest || reports === 0; reports += 1) {
      if (reports > 100) throw new Error("the events are not stored");
      const fresh = log.filter(({ seq }) => seq > after);
      const page = fresh.slice(0, pageRows);
      const more = page.length < fresh.length;
      const seq = more ? (page.at(-1)?.seq ?? after) : newest;
      const push = { after, events: page, position: { epoch, seq }, gap: after < (log[0]?.seq ?? 1) - 1, more };
      const reported = await this.report(name, { position: { epoch, seq: newest } }, undefined, { push });
      if (!reported.ok) throw new Error(`the report was refused: ${await reported.text()}`);
      after = Number(reported.headers.get("x-operator-stored"));
    }
    this.#stored.set(`${name} ${epoch}`, after);
  }

  /** One JSON-RPC request to the unified endpoint; answers what came before the response, too. */
  async rpc(
    method: string,
    params: Record<string, unknown> = {},
    revision = MODERN,
  ): Promise<{ status: number; before: RpcAnswer[]; answer: RpcAnswer }> {
    const isModern = revision === MODERN;
    const given = params["_meta"] as object | undefined;
    const _meta = {
      ...given,
      ...(isModern
        ? {
            "io.modelcontextprotocol/protocolVersion": revision,
            "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
          }
        : {}),
    };
    const name = params["name"];
    const headers: Record<string, string> = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": revision,
      ...(isModern ? { "mcp-method": method, ...(typeof name === "string" ? { "mcp-name": name } : {}) } : {}),
    };
    const whole = Object.keys(_meta).length === 0 ? params : { ...params, _meta };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method, params: whole });
    const response = await this.fetch("/mcp", {
      method: "POST",
      headers: { ...headers, "content-length": String(utf8(body).byteLength) },
      body,
    });
    const messages = messagesIn(response, await response.text());
    const answer = messages.find((message) => "result" in message || "error" in message);
    if (answer === undefined) throw new Error(`no answer: HTTP ${response.status}`);
    return { status: response.status, before: messages.slice(0, messages.indexOf(answer)), answer };
  }

  /** Calls a tool of the unified endpoint. */
  async tool(name: string, args: Record<string, unknown> = {}, revision = MODERN): Promise<ToolResult> {
    const { answer } = await this.rpc("tools/call", { name, arguments: args }, revision);
    if (answer.result === undefined) throw new Error(JSON.stringify(answer.error));
    return answer.result as unknown as ToolResult;
  }
}

/** The code of an error of ours that a tool's result tells. */
export function failureOf(result: ToolResult): unknown {
  const error = result.structuredContent?.["error"] as { code?: unknown } | undefined;
  return result.isError === true ? error?.code : undefined;
}

function messagesIn(response: Response, text: string): RpcAnswer[] {
  if (!response.headers.get("content-type")?.startsWith("text/event-stream"))
    return text === "" ? [] : [JSON.parse(text)];
  return text
    .split("\n")
    .flatMap((line) => (line.startsWith("data: ") && line.length > 6 ? [JSON.parse(line.slice(6))] : []));
}
