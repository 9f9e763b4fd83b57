import { Client, StreamableHTTPClientTransport, type Tool } from "@modelcontextprotocol/client";
import type { Facts, Project } from "#protocol/control.ts";
import { MAX_PATH_CHARACTERS, MAX_PROJECTS, MAX_SLUG_CHARACTERS } from "#protocol/limits.ts";
import type { PushedEvent } from "#protocol/event.ts";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { backoffMs } from "./backoff.ts";
import { systemClock, wait, type Clock } from "./clock.ts";
import { EventPoller, hasCursor, POLL_TOOL } from "./event-poller.ts";
import { reposIn } from "./facts.ts";
import type { Target } from "./target.ts";
import { targetFetch } from "./target-fetch.ts";

/** How often a server without events is asked whether it is still there. */
const CHECK_MS = 60_000;

/** A session that lasted for so long counts as a success: the next failure starts the back-off from its beginning. */
const STABLE_MS = 10_000;

const PROJECTS_TOOL = "list_projects";

/** The client's own transport needs some address; all requests go to the target. */
const ADDRESS = new URL("http://target/mcp");

/**
 * `true`: from a server whose `poll_events` takes a cursor. One without gives each event to a single reader, so that its own
 * clients would miss what is fetched here; `"drain"` fetches from such a server as well.
 */
export type EventSource = boolean | "drain";

export type WatchOptions = {
  readonly target: Target;
  /** Whether the target's events are fetched: what `poll_events` tells, and notifications that belong to no request. */
  readonly events: EventSource;
  /** Folders that are looked at for repositories when the server knows no projects. */
  readonly folders: readonly string[];
  readonly version: string;
  /** A 2025 session hears of nothing but itself (each is a process of its own): without events to fetch it is ended. */
  readonly isolated: boolean;
  /** Where polling goes on; `null`: from now. */
  readonly cursor: () => string | null;
  readonly push: (events: readonly PushedEvent[], cursor: string | null) => void;
  readonly learn: (facts: Partial<Facts>) => void;
  /** The server is there, or not (any more), and why. Called when it changes. */
  readonly report: (isThere: boolean, detail: string) => void;
  readonly clock?: Clock;
  readonly random?: () => number;
};

const Projects = z.looseObject({
  projects: z.array(z.looseObject({ slug: z.string().nullish(), path: z.string().nullish() })),
});
type Listed = z.infer<typeof Projects>["projects"];

/**
 * The connector's own session at the target: who answers there, which repositories the machine has, and the target's
 * events. The only poller of a server that drains what it hands out.
 */
export class TargetWatch {
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  readonly #stopping = new AbortController();
  readonly #done: Promise<void>;
  #wasThere: boolean | null = null;
  /** Why the target itself did not answer, in this session. */
  #failure: string | null = null;
  #poller: EventPoller | null = null;

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#done = this.#run();
  }

  /** Ends the session; resolves when it is over. */
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
        this.#report(false, this.#failure ?? (reason instanceof Error ? reason.message : String(reason)));
      }
      failures = this.#clock.nowMs() - startedMs >= STABLE_MS ? 0 : failures + 1;
      await wait(this.#clock, backoffMs(failures, random), this.#stopping.signal);
    }
  }

  /** One session, until it breaks; `true`: all that there is to learn was learnt. */
  async #session(): Promise<boolean> {
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
      // A 2025 session is said goodbye to, so that its server (or its child process) can end.
      await transport.terminateSession().catch(() => undefined); // it is lost already, or never was
      await client.close();
    }
  }

  async #introduce(client: Client, tools: readonly Tool[]): Promise<void> {
    const server = client.getServerVersion();
    const capabilities = Object.keys(client.getServerCapabilities() ?? {});
    const has = (name: string): boolean => tools.some((tool) => tool.name === name);
    if (has(POLL_TOOL)) capabilities.push(POLL_TOOL);
    if (client.getProtocolEra() === "modern" && this.#options.events !== false) await this.#listen(client);
    const listed = has(PROJECTS_TOOL) ? await this.#projects(client) : null;
    const folders = listed?.flatMap(({ path }) => path ?? []) ?? this.#options.folders;
    this.#options.learn({
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

  /** In 2026-07-28 a server tells of changes only to those who asked. */
  async #listen(client: Client): Promise<void> {
    const { tools, prompts, resources } = client.getServerCapabilities() ?? {};
    const filter = {
      ...(tools?.listChanged === true ? { toolsListChanged: true } : {}),
      ...(prompts?.listChanged === true ? { promptsListChanged: true } : {}),
      ...(resources?.listChanged === true ? { resourcesListChanged: true } : {}),
    };
    if (Object.keys(filter).length > 0) await client.listen(filter, { signal: this.#stopping.signal });
  }

  /** The server's projects, or `null` when it answers `list_projects` in a form of its own. */
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
    this.#options.report(isThere, detail);
  }
}

/** As much of a server's projects as the link takes: one of an unusual length must not cost the machine its link. */
function projectFacts(listed: Listed): Project[] {
  const fitting = listed.flatMap(({ slug, path }) => {
    if (slug == null || slug === "" || slug.length > MAX_SLUG_CHARACTERS) return [];
    return [{ slug, path: path == null || path.length > MAX_PATH_CHARACTERS ? null : path }];
  });
  return fitting.slice(0, MAX_PROJECTS);
}

/** The server's tools; none when it has no such capability. */
async function toolsOf(client: Client, signal: AbortSignal): Promise<Tool[]> {
  if (client.getServerCapabilities()?.tools === undefined) return [];
  const { tools } = await client.listTools(undefined, { signal });
  return tools;
}

function jsonOf(content: { type: string; text?: unknown }): unknown {
  // Text that is not JSON is for people.
  return content.type === "text" && typeof content.text === "string" ? parseJson(content.text) : undefined;
}
