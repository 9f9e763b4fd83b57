import type { Client } from "@modelcontextprotocol/client";
import { type HostedServer, hostedTemplate } from "#protocol/hosted-server.ts";
import { mcpFailure } from "../../mcp-failure.ts";
import { mcpClient } from "../../system/mcp-client.ts";
import { operatorFetch } from "../../trust/operator-fetch.ts";
import type { ServerApi } from "./server-api.ts";

/** After an upload Cloudflare may serve the former version for seconds to minutes. Milliseconds. */
const READY_TIMEOUT_MS = 120_000;
const ASK_EVERY_MS = 500;

/** A tool call, and the text that it answered. */
type CheckedCall = { readonly tool: string; readonly args: Record<string, unknown>; readonly text: string };
export type Verified = { readonly tools: readonly string[]; readonly call: CheckedCall | null };

/** The call that checks a server which has the tool `echo`, as the template has. */
const ECHO = { tool: "echo", args: { message: "hello" } } as const;

/** Waits until the deployed version is the one that answers. @throws Error when it does not in time */
export async function untilReady(api: ServerApi, { name, version }: HostedServer): Promise<void> {
  const endMs = Date.now() + READY_TIMEOUT_MS;
  for (;;) {
    const template = await api.runningTemplate(name);
    if (template === hostedTemplate(version)) return;
    if (Date.now() > endMs)
      throw new Error(
        `${name} was uploaded, but ${template === null ? "nothing answers" : `${template} still answers`} after ${READY_TIMEOUT_MS / 1000} s.`,
      );
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
}

/**
 * The platform may restart a script in the moments after its upload, above all when the upload was repeated because its reply was lost.
 * Then the connection and the list of tools are asked for again, which changes nothing. A call is made once.
 */
const CONNECTS = 3;

/**
 * Uses the server as its owner's MCP client would: at its public address, with a token. Lists its tools and calls one of them: the
 * one that was asked for, or `echo` if there is one. @throws Error when the server or the call fails
 */
export async function verify(
  api: ServerApi,
  server: HostedServer,
  wanted: { tool: string; args: Record<string, unknown> } | null,
): Promise<Verified> {
  const { Client } = await mcpClient();
  for (let attempt = 1; ; attempt += 1) {
    const client = new Client({ name: "operator-servers", version: "1" });
    try {
      const names = await toolsOf(client, api, server).catch((reason: unknown) => {
        if (attempt < CONNECTS) return null;
        throw new Error(`${server.name} cannot be used: ${mcpFailure(reason)}`, { cause: reason });
      });
      if (names === null) continue;
      const chosen = wanted ?? (names.includes(ECHO.tool) ? ECHO : null);
      if (chosen === null) return { tools: names, call: null };
      const { content, isError } = await client.callTool({ name: chosen.tool, arguments: chosen.args });
      const text = content.map((part) => (part.type === "text" ? part.text : `[${part.type}]`)).join("\n");
      if (isError === true) throw new Error(`${chosen.tool} failed: ${text}`);
      return { tools: names, call: { ...chosen, text } };
    } finally {
      await client.close();
    }
  }
}

async function toolsOf(client: Client, api: ServerApi, { mcpUrl }: HostedServer): Promise<string[]> {
  const { StreamableHTTPClientTransport } = await mcpClient();
  const requests = { requestInit: { headers: api.headers }, fetch: operatorFetch };
  await client.connect(new StreamableHTTPClientTransport(new URL(mcpUrl), requests));
  return (await client.listTools()).tools.map(({ name }) => name);
}
