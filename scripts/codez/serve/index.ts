import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ClaudeCode } from "./agent/claude/claude-code.ts";
import { Keeper } from "./agent/keeper.ts";
import { ConfigFile, type ServeConfig } from "./config.ts";
import { EventLog, type ServeEvent } from "./event-log.ts";
import { findSessionFile } from "./history/session-file.ts";
import { claudeHome, codezHome } from "./home.ts";
import { listen } from "./http/listener.ts";
import type { Machine } from "./machine.ts";
import { createEndpoint, MAX_BODY_BYTES } from "./mcp/endpoint.ts";
import { Outcomes } from "./outcomes.ts";
import { PermissionBook } from "./permission/book.ts";
import { Policy } from "./policy.ts";
import { PollPositions } from "./poll-positions.ts";
import { Projects } from "./project/projects.ts";
import { Ledger } from "./session/ledger.ts";
import { Sessions } from "./session/sessions.ts";
import { terminalsOf } from "./session/terminals.ts";
import { placeOf } from "./history/place.ts";
import { allTools } from "./tools/all.ts";

export type { ServeEvent } from "./event-log.ts";

export interface ServeOptions {
  /** `~/.codez`, unless CODEZ_HOME says otherwise. */
  readonly home?: string;
  /** Stand before what `serve.json` says. */
  readonly overrides?: Partial<ServeConfig>;
  readonly version?: string;
  /** Faults that no caller sees. */
  readonly onError?: (error: Error) => void;
}

export interface Serve {
  /** Of the MCP endpoint. */
  readonly url: string;
  /** Hears every event from now on; ends with the returned function. */
  subscribe(listener: (event: ServeEvent) => void): () => void;
  /** Ends every agent, then the endpoint. Nothing is left running. */
  stop(): Promise<void>;
}

/** Brings up the MCP server of this machine. Throws ConfigInvalid, or when the port is taken. */
export async function startServe(options: ServeOptions = {}): Promise<Serve> {
  const home = options.home ?? codezHome();
  const folder = join(home, "serve");
  const claude = claudeHome();
  const projectsFolder = join(claude, "projects");
  const onError = options.onError ?? ((error) => console.error(error));
  const config = new ConfigFile(join(home, "serve.json"), options.overrides);
  await mkdir(folder, { recursive: true, mode: 0o700 });

  const events = new EventLog();
  const permissions = new PermissionBook(join(folder, "permissions.json"), events, () => {
    return config.current.permissionTimeoutMinutes * 60_000;
  });
  const outcomes = new Outcomes(join(folder, "outcomes.json"));
  const ledger = new Ledger(join(folder, "sessions.json"));
  await Promise.all([permissions.load(), outcomes.load(), ledger.load()]);

  const keeper = new Keeper(createHash("sha256").update(home).digest("hex").slice(0, 16));
  const agent = new ClaudeCode(() => config.current.claude, keeper);
  const projects = new Projects(projectsFolder, () => config.current.projects);
  const sessions = new Sessions({
    agent,
    config: () => config.current,
    events,
    permissions,
    ledger,
    find: async (session) => {
      const file = await findSessionFile(projectsFolder, session);
      return file === null ? null : placeOf(file);
    },
    terminalOf: async (session, own) => (await terminalsOf(claude, own)).get(session) ?? null,
  });
  const positions = new PollPositions(() => events.end);
  const policy = new Policy(
    () => config.current,
    () => projects.list(),
  );
  const machine: Machine = { agent, config, events, outcomes, permissions, policy, positions, projects, sessions };

  const endpoint = createEndpoint({
    tools: allTools(machine),
    version: options.version ?? "0.0.0",
    onError,
    onClient: (client) => positions.meet(client),
  });
  const mcp = {
    path: "/mcp",
    maxBodyBytes: MAX_BODY_BYTES,
    handle: (request: Request, body: string) => endpoint.fetch(request, parse(body)),
  };
  const listener = await listen(config.current.port, [mcp], onError);

  return {
    url: `http://127.0.0.1:${listener.port}/mcp`,
    subscribe: (hear) => events.subscribe(hear),
    stop: async () => {
      await sessions.stop();
      await permissions.stop();
      keeper.stop();
      await endpoint.close();
      await listener.close();
    },
  };
}

/** A body that is not JSON is left to the SDK, which answers it as the protocol wants. */
function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
