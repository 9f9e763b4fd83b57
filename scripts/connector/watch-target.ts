import type { Client, Tool } from "@modelcontextprotocol/client";
import { type Facts, KEYS_CAPABILITY, type Project } from "#protocol/control.ts";
import { MAX_PATH_CHARACTERS, MAX_PROJECTS, MAX_SLUG_CHARACTERS } from "#protocol/limits.ts";
import type { PushedEvent } from "#protocol/event.ts";
import * as z from "zod";
import { mcpClient } from "../system/mcp-client.ts";
import { mcpFailure } from "../mcp-failure.ts";
import { parseJson } from "#protocol/json.ts";
import { backoffMs } from "./backoff.ts";
import { systemClock, wait, type Clock } from "./clock.ts";
import { EventPoller, hasCursor, POLL_TOOL } from "./event-poller.ts";
import { reposIn } from "./facts.ts";
import type { Target } from "./target.ts";
import { targetFetch } from "./target-fetch.ts";

/** How often to check that a server without events still answers. */
const CHECK_MS = 60_000;

/** A session that lasted this long counts as a success. The next failure then starts the back-off from its beginning. */
const STABLE_MS = 10_000;

const PROJECTS_TOOL = "list_projects";

/** The client's transport needs an address, but all requests go to the target. */
const ADDRESS = new URL("http://target/mcp");

/**
 * `true`: fetch events only from a server whose `poll_events` takes a cursor. A server without cursors gives each event to one
 * reader only, so its own clients would miss the events that are fetched here. `"drain"`: fetch from such a server as well.
 */
export type EventSource = boolean | "drain";

export type WatchOptions = {
  readonly target: Target;
  /** Whether to fetch the target's events: those of `poll_events`, and notifications that belong to no request. */
  readonly events: EventSource;
  /** Folders in which to look for repositories when the server has no projects. */
  readonly folders: readonly string[];
  readonly version: string;
  /**
   * Whether each 2025 session is a separate process, which sees only its own events. Without events to fetch, the session is
   * then ended.
   */
  readonly isolated: boolean;
  /** The cursor to continue polling from; `null`: from now. */
  readonly cursor: () => string | null;
  readonly push: (events: readonly PushedEvent[], cursor: string | null) => void;
  readonly learn: (facts: Partial<Facts>) => void;
  /** Called when the server starts or stops answering, with the reason. */
  readonly report: (isThere: boolean, detail: string) => void;
  readonly clock?: Clock;
  readonly random?: () => number;
};

const Projects = z.looseObject({
  projects: z.array(z.looseObject({ slug: z.string().nullish(), path: z.string().nullish() })),
});
type Listed = z.infer<typeof Projects>["projects"];

/**
 * The connector's own session at the target, which finds out what server answers there, which projects and repositories the
 * machine has, and fetches the target's events.
 */
export class TargetWatch {
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;
  #wasThere: boolean | null = null;
  /** Why the target did not answer in this session. */
  #failure: string | null = null;
  #poller: EventPoller | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#done = this.#run();
  }

  /** Ends the session. Resolves when it is over. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
  }

  async #run(): Promise<void> {
    const random = this.#options.random ?? Math.random;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      const startedMs = this.#clock.nowMs();
      try {
        if (await this.#session()) return;
      } catch (reason) {
        if (this.#stopping.signal.aborted) return;
        this.#report(false, this.#failure ?? mcpFailure(reason));
      }
      failures = this.#clock.nowMs() - startedMs >= STABLE_MS ? 0 : failures + 1;
      await wait(this.#clock, backoffMs(failures, random), this.#stopping.signal);
    }
  }

  /** Runs one session until it breaks. Returns `true` when nothing is left to find out. */
  async #session(): Promise<boolean> {
    const { Client, StreamableHTTPClientTransport } = await mcpClient();
    const client = new Client(
      { name: "codez", version: this.#options.version },
      { versionNegotiation: { mode: "auto" } },
    );
    this.#failure = null;
    const fetch = targetFetch(this.#options.target, {
      failed: (reason) => {
        this.#failure = reason;
      },
      postEnded: () => this.#poller?.answerEnded(),
    });
    const transport = new StreamableHTTPClientTransport(ADDRESS, { fetch });
    const { signal } = this.#stopping;
    if (this.#options.events !== false)
      client.fallbackNotificationHandler = (notification) => this.#notified(notification);
    try {
      await client.connect(transport, { signal });
      const tools = await toolsOf(client, signal);
      await this.#introduce(client, tools);
      const poll = tools.find((tool) => tool.name === POLL_TOOL);
      if (poll !== undefined && this.#fetches(poll)) await this.#poll(client, poll);
      else if (this.#options.isolated && client.getProtocolEra() === "legacy") return true;
      else await this.#check(client);
      return this.#stopping.signal.aborted;
    } finally {
      // A 2025 session is ended explicitly, so that its server (or its child process) can end.
      await transport.terminateSession().catch(() => undefined); // the session is lost already, or was never opened
      await client.close();
    }
  }

  async #introduce(client: Client, tools: readonly Tool[]): Promise<void> {
    const server = client.getServerVersion();
    const capabilities = Object.keys(client.getServerCapabilities() ?? {});
    const has = (name: string): boolean => tools.some((tool) => tool.name === name);
    if (has(POLL_TOOL)) capabilities.push(POLL_TOOL);
    const prompt = tools.find((tool) => tool.name === "send_prompt");
    if (prompt?.inputSchema.properties !== undefined && "key" in prompt.inputSchema.properties)
      capabilities.push(KEYS_CAPABILITY);
    if (client.getProtocolEra() === "modern" && this.#options.events !== false) await this.#listen(client);
    const listed = has(PROJECTS_TOOL) ? await this.#projects(client) : null;
    const folders = listed?.flatMap(({ path }) => path ?? []) ?? this.#options.folders;
    this.#options.learn({
      server: "up",
      agent: server === undefined ? null : { name: server.name, version: server.version },
      capabilities,
      repos: await reposIn(folders),
      ...(listed === null ? {} : { projects: projectFacts(listed) }),
    });
    const name = server === undefined ? "an MCP server" : `${server.name} ${server.version}`;
    const poll = tools.find((tool) => tool.name === POLL_TOOL);
    const isLeft = this.#options.events !== false && poll !== undefined && !this.#fetches(poll);
    this.#report(
      true,
      isLeft ? `${name}, whose events are left to its own clients (--drain-events fetches them)` : name,
    );
  }

  #fetches(poll: Tool): boolean {
    return this.#options.events === "drain" || (this.#options.events && hasCursor(poll));
  }

  /** In revision 2026-07-28 a server reports changes only to clients that have subscribed. */
  async #listen(client: Client): Promise<void> {
    const { tools, prompts, resources } = client.getServerCapabilities() ?? {};
    const filter = {
      ...(tools?.listChanged === true ? { toolsListChanged: true } : {}),
      ...(prompts?.listChanged === true ? { promptsListChanged: true } : {}),
      ...(resources?.listChanged === true ? { resourcesListChanged: true } : {}),
    };
    if (Object.keys(filter).length > 0) await client.listen(filter, { signal: this.#stopping.signal });
  }

  /** The server's projects, or `null` when its `list_projects` has another format. */
  async #projects(client: Client): Promise<Listed | null> {
    const result = await client.callTool({ name: PROJECTS_TOOL, arguments: {} }, { signal: this.#stopping.signal });
    for (const candidate of [result.structuredContent, ...result.content.map(jsonOf)]) {
      const listed = Projects.safeParse(Array.isArray(candidate) ? { projects: candidate } : candidate);
      if (listed.success) return listed.data.projects;
    }
    return null;
  }

  async #poll(client: Client, tool: Tool): Promise<void> {
    const { cursor, push } = this.#options;
    this.#poller = new EventPoller(client, tool, this.#clock, this.#stopping.signal);
    await this.#poller.run(cursor(), push);
  }

  async #check(client: Client): Promise<void> {
    const { signal } = this.#stopping;
    for (;;) {
      await wait(this.#clock, CHECK_MS, signal);
      if (signal.aborted) return;
      if (client.getProtocolEra() === "modern") await client.discover({ signal });
      else await client.ping({ signal });
    }
  }

  #notified({ method, params }: { method: string; params?: unknown }): Promise<void> {
    const type = `mcp.${method.replace(/^notifications\//, "")}`;
    this.#options.push([{ atMs: this.#clock.nowMs(), type, session: null, data: params ?? null }], null);
    return Promise.resolve();
  }

  #report(isThere: boolean, detail: string): void {
    if (this.#wasThere === isThere) return;
    this.#wasThere = isThere;
    if (!isThere) this.#options.learn({ server: "down" }); // that it is up is told with its other facts (#introduce)
    this.#options.report(isThere, detail);
  }
}

/** The server's projects within the link's limits. An unusually long one must not cause the link to be closed. */
function projectFacts(listed: Listed): Project[] {
  const fitting = listed.flatMap(({ slug, path }) => {
    if (slug == null || slug === "" || slug.length > MAX_SLUG_CHARACTERS) return [];
    return [{ slug, path: path == null || path.length > MAX_PATH_CHARACTERS ? null : path }];
  });
  return fitting.slice(0, MAX_PROJECTS);
}

/** The server's tools; an empty list when it has no such capability. */
async function toolsOf(client: Client, signal: AbortSignal): Promise<Tool[]> {
  if (client.getServerCapabilities()?.tools === undefined) return [];
  const { tools } = await client.listTools(undefined, { signal });
  return tools;
}

function jsonOf(content: { type: string; text?: unknown }): unknown {
  // Text that is not JSON is meant for people.
  return content.type === "text" && typeof content.text === "string" ? parseJson(content.text) : undefined;
}
