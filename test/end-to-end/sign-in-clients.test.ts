import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import {
  Client,
  type OAuthClientMetadata,
  type OAuthClientProvider,
  type OAuthTokens,
  type StoredOAuthClientInformation,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";
import { Client as OlderClient } from "@modelcontextprotocol/sdk/client/index.js";
import type { OAuthClientProvider as OlderProvider } from "@modelcontextprotocol/sdk/client/auth.js";
import { StreamableHTTPClientTransport as OlderTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { peerBin } from "../peers/bin.ts";
import { allow, Chromium, claim, hasChromium, type Page, STRANGERS } from "./support/browser.ts";
import { TestOperator } from "./support/operator.ts";
import { run } from "./support/run.ts";
import { unusedPort } from "../support/unused-port.ts";

const Created = z.object({ token: z.string(), id: z.string() });
const Grants = z.object({ grants: z.array(z.object({ id: z.string(), client: z.string() })) });

/** Sends its person to a page and keeps what it is given, as an MCP client does. */
class Keeper implements OAuthClientProvider {
  readonly redirectUrl = "http://127.0.0.1:33418/callback";
  asked: URL | null = null;
  kept: OAuthTokens | undefined;
  #client: StoredOAuthClientInformation | undefined;
  #verifier = "";
  readonly #name: string;

  constructor(name = "An SDK client") {
    this.#name = name;
  }

  get clientMetadata(): OAuthClientMetadata {
    return { client_name: this.#name, redirect_uris: [this.redirectUrl], token_endpoint_auth_method: "none" };
  }
  clientInformation(): StoredOAuthClientInformation | undefined {
    return this.#client;
  }
  saveClientInformation(client: StoredOAuthClientInformation): void {
    this.#client = client;
  }
  tokens(): OAuthTokens | undefined {
    return this.kept;
  }
  saveTokens(tokens: OAuthTokens): void {
    this.kept = tokens;
  }
  redirectToAuthorization(url: URL): void {
    this.asked = url;
  }
  saveCodeVerifier(verifier: string): void {
    this.#verifier = verifier;
  }
  codeVerifier(): string {
    return this.#verifier;
  }
}

describe.skipIf(!hasChromium())("clients that sign in at a running Operator", () => {
  let operator: TestOperator;
  let chromium: Chromium;
  let page: Page;

  beforeAll(async () => {
    // The conformance suite's client names no User-Agent.
    operator = await TestOperator.start(STRANGERS, { refusesNameless: false });
    chromium = await Chromium.start();
    operator.own(chromium);
    page = await (await chromium.person()).newPage();
    await claim(page, operator.url);
  });
  afterAll(() => operator[Symbol.asyncDispose]());

  /** Connects once without and once with a token; in between a person says yes. */
  async function connect(keeper: Keeper, url = operator.mcpUrl): Promise<Client> {
    const transport = new StreamableHTTPClientTransport(url, { authProvider: keeper });
    const client = new Client({ name: "t", version: "1" }, { versionNegotiation: { mode: "auto" } });
    await expect(client.connect(transport)).rejects.toThrow(/[Uu]nauthorized/);
    const answer = await allow(page, keeper.asked ?? "");
    await transport.finishAuth(answer.searchParams);
    return again(keeper, url);
  }

  async function again(keeper: Keeper, url = operator.mcpUrl): Promise<Client> {
    const client = new Client({ name: "t", version: "1" }, { versionNegotiation: { mode: "auto" } });
    await client.connect(new StreamableHTTPClientTransport(url, { authProvider: keeper }));
    return client;
  }

  /** A personal access token, made with the admin's word of a client that has it. */
  async function tokenWith(accessToken: string, body: object): Promise<z.infer<typeof Created>> {
    return Created.parse((await operator.api("POST", "/api/tokens", body, accessToken)).body);
  }

  async function admin(): Promise<string> {
    const keeper = new Keeper();
    const transport = new StreamableHTTPClientTransport(operator.mcpUrl, { authProvider: keeper });
    const client = new Client({ name: "t", version: "1" }, { versionNegotiation: { mode: "auto" } });
    await expect(client.connect(transport)).rejects.toThrow(/[Uu]nauthorized/);
    const asked = new URL(keeper.asked ?? "");
    asked.searchParams.set("scope", "operator:admin mcp:tools");
    await transport.finishAuth((await allow(page, asked)).searchParams);
    return keeper.kept?.access_token ?? "";
  }

  test("the SDK's client gets from a 401 to a tool call, refreshes, and loses access when its grant is revoked", async () => {
    const keeper = new Keeper("To be taken back");
    const client = await connect(keeper);
    expect(keeper.asked?.searchParams.get("resource")).toBe(String(operator.mcpUrl));
    const result = await client.callTool({ name: "list_machines", arguments: {} });
    expect(result.structuredContent).toMatchObject({ machines: [] });
    await client.close();

    const before = keeper.kept;
    keeper.kept = { ...before, access_token: "expired", token_type: "bearer" };
    const refreshed = await again(keeper);
    expect((await refreshed.listTools()).tools.length).toBeGreaterThan(20);
    expect(keeper.kept.access_token).not.toBe("expired");
    expect(keeper.kept.refresh_token).not.toBe(before?.refresh_token);
    await refreshed.close();

    const accessToken = await admin();
    const { grants } = Grants.parse((await operator.api("GET", "/api/grants", undefined, accessToken)).body);
    const grant = grants.find(({ client: name }) => name === "To be taken back");
    expect((await operator.api("DELETE", `/api/grants/${grant?.id}`, undefined, accessToken)).status).toBe(204);
    expect((await operator.api("GET", "/api/me", undefined, keeper.kept.access_token)).status).toBe(401);
  });

  test("the SDK of 2025 does the same", async () => {
    const keeper = new Keeper();
    const provider = keeper as unknown as OlderProvider; // the same interface in other words
    const connected = async () => {
      const client = new OlderClient({ name: "older", version: "1" });
      const transport = new OlderTransport(operator.mcpUrl, { authProvider: provider });
      return { client, transport, done: client.connect(transport as Parameters<OlderClient["connect"]>[0]) };
    };
    const first = await connected();
    await expect(first.done).rejects.toThrow(/[Uu]nauthorized/);
    const answer = await allow(page, keeper.asked ?? "");
    await first.transport.finishAuth(answer.searchParams.get("code") ?? "");
    const second = await connected();
    await second.done;
    const result = await second.client.callTool({ name: "list_machines", arguments: {} });
    expect(result.isError).not.toBe(true);
    await second.client.close();
  });

  test("a machine's own address is a separate resource, which clients discover and sign in to", async () => {
    const keeper = new Keeper();
    const url = new URL(`http://attic.localhost:${operator.port}/mcp`);
    const transport = new StreamableHTTPClientTransport(url, { authProvider: keeper });
    const client = new Client({ name: "t", version: "1" }, { versionNegotiation: { mode: "auto" } });
    await expect(client.connect(transport)).rejects.toThrow(/[Uu]nauthorized/);
    expect(keeper.asked?.searchParams.get("resource")).toBe(url.href);
    await transport.finishAuth((await allow(page, keeper.asked ?? "")).searchParams);
    const at = async (path: string) => (await operator.api("GET", path, undefined, keeper.kept?.access_token)).status;
    expect(await at("/api/me")).toBe(401);
    expect(await at("/mcp")).toBe(401);
    const there = await fetch(url, { headers: { authorization: `Bearer ${keeper.kept?.access_token}` } });
    expect(there.status).toBe(404); // let in, and told that there is no such machine
  });

  test("a restart signs out neither clients nor people, and keeps their tokens", async () => {
    const keeper = new Keeper();
    await (await connect(keeper)).close();
    const { token } = await tokenWith(await admin(), { label: "kept" });
    await operator.stop();
    await operator.start();
    const client = await again(keeper);
    await client.close();
    keeper.kept = { ...keeper.kept, access_token: "expired", token_type: "bearer" };
    await (await again(keeper)).close();
    expect((await operator.api("GET", "/api/me", undefined, token)).status).toBe(200);
    await page.goto(`${operator.url}/account`);
    expect(page.url()).toBe(`${operator.url}/account`);
  });

  test("Claude Code reaches the tools with a personal access token", async () => {
    const { token } = await tokenWith(await admin(), { label: "claude" });
    const home = await mkdtemp(join(operator.folder, "claude-"));
    const env = {
      HOME: home,
      CLAUDE_CONFIG_DIR: join(home, ".claude"),
      DISABLE_AUTOUPDATER: "1",
      DISABLE_TELEMETRY: "1",
    };
    const claude = (...args: string[]) => run(peerBin("claude"), args, { cwd: home, env });
    const header = `Authorization: Bearer ${token}`;
    const added = await claude(
      "mcp",
      "add",
      "--transport",
      "http",
      "operator",
      operator.mcpUrl.href,
      "--header",
      header,
    );
    expect(added.code).toBe(0);
    const listed = await claude("mcp", "list");
    expect(listed.stdout).toMatch(/operator: .*Connected/);
    const wrong = await claude(
      "mcp",
      "add",
      "--transport",
      "http",
      "wrong",
      operator.mcpUrl.href,
      "--header",
      `${header}x`,
    );
    expect(wrong.code).toBe(0);
    expect((await claude("mcp", "list")).stdout).not.toMatch(/wrong: .*✔? ?Connected/);
  });

  test("the Inspector lists the tools with a personal access token", async () => {
    const { token } = await tokenWith(await admin(), { label: "inspector", scopes: ["mcp:tools"] });
    const args = [
      peerBin("mcp-inspector"),
      "--cli",
      operator.mcpUrl.href,
      "--transport",
      "http",
      "--method",
      "tools/list",
    ];
    const ran = await run(process.execPath, [...args, "--header", `Authorization: Bearer ${token}`]);
    expect(ran.stdout).toContain("list_machines");
  });

  test("the Inspector gets from a 401 to the tools, keeps its sign-in, and loses access when that is revoked", async () => {
    const home = await mkdtemp(join(operator.folder, "inspector-"));
    const env = { HOME: home, MCP_INSPECTOR_SECRET_STORE: "file", BROWSER: "/bin/true", MCP_AUTO_OPEN_ENABLED: "true" };
    const args = [
      peerBin("mcp-inspector"),
      "--cli",
      operator.mcpUrl.href,
      "--transport",
      "http",
      "--method",
      "tools/list",
    ];
    const asked = /http:\/\/127\.0\.0\.1:\d+\/oauth\/authorize\?\S+(?=\s)/g;
    expect(await withPerson(args, asked, page, env)).toContain('"name": "list_machines"');

    const accessToken = await admin();
    const { grants } = Grants.parse((await operator.api("GET", "/api/grants", undefined, accessToken)).body);
    const grant = grants.find(({ client: name }) => name.includes("Inspector"));
    const later = () => run(process.execPath, [...args, "--stored-auth-only"], { env });
    expect((await later()).stdout).toContain('"name": "list_machines"');
    expect((await operator.api("DELETE", `/api/grants/${grant?.id}`, undefined, accessToken)).status).toBe(204);
    expect((await later()).code).not.toBe(0);
  });

  test("the conformance suite's scenarios for authorization servers pass", async () => {
    const port = await unusedPort(); // at which the suite receives its code
    const { body } = await operator.api("POST", "/oauth/register", {
      client_name: "conformance",
      redirect_uris: [`http://127.0.0.1:${port}/callback`],
      token_endpoint_auth_method: "none",
    });
    const { client_id: clientId } = z.object({ client_id: z.string() }).parse(body);
    const client = ["--client-id", clientId, "--port", String(port)];
    const args = ["authorization", "--url", operator.url, "--resource", operator.mcpUrl.href, ...client];
    const asked = /http:\/\/127\.0\.0\.1:\d+\/oauth\/authorize\?\S+(?=\s)/g;
    const said = await withPerson([peerBin("conformance"), ...args], asked, page);
    expect(said).toContain("authorization-code-grant");
    expect(said).toMatch(/[1-9]\d* passed, 0 failed/);
    expect(said).not.toMatch(/FAILURE|[1-9]\d* failed/);
  });
});

/** A guard against a program that hangs. */
const PERSON_LIMIT_MS = 60_000;

/** Runs a program that shows addresses for its person to open, and says yes on each of those pages. Answers what it said. */
async function withPerson(
  args: readonly string[],
  asked: RegExp,
  page: Page,
  env: Record<string, string> = {},
): Promise<string> {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: PERSON_LIMIT_MS,
  });
  const opened = new Set<string>();
  let said = "";
  const hear = (chunk: Buffer): void => {
    said += chunk.toString();
    for (const [url] of said.matchAll(asked)) {
      if (opened.has(url)) continue;
      opened.add(url);
      allow(page, url).catch((reason: unknown) => {
        said += String(reason);
      });
    }
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  await once(child, "close");
  return said;
}
