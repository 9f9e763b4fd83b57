import { createHash } from "node:crypto";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseJson } from "#protocol/json.ts";
import { AlreadyRunning } from "./already-running.ts";
import { ClaudeCode } from "./agent/claude/claude-code.ts";
import { trustIn } from "./agent/claude/workspace-trust.ts";
import { Keeper } from "./agent/keeper.ts";
import type { ServeConfig } from "./config.ts";
import { ConfigFile, watchConfig } from "./config-file.ts";
import { EventLog, type ServeEvent } from "./event-log.ts";
import { Faults } from "./health/faults.ts";
import { checkHealth, type HealthDetails } from "./health/health.ts";
import { Catalog } from "./history/catalog.ts";
import { Mirror } from "./history/mirror.ts";
import { placeOf } from "./history/place.ts";
import { findSessionFile } from "./history/session-file.ts";
import { codezHome } from "../system/home.ts";
import { removeDrafts } from "../system/json-file.ts";
import { claudeHome, claudeStateFile } from "./home.ts";
import { listen } from "./http/listener.ts";
import { HistoryIndex } from "./search-index/history-index.ts";
import type { Machine } from "./machine.ts";
import { createEndpoint, MAX_BODY_BYTES } from "./mcp/endpoint.ts";
import { Outcomes } from "./outcomes.ts";
import { PermissionBook } from "./permission/book.ts";
import { asksRoute } from "./permission/ask-route.ts";
import { permissionsRoute } from "./permission/local-route.ts";
import { Policy } from "./policy.ts";
import { PollPositions } from "./poll-positions.ts";
import { Projects } from "./project/projects.ts";
import { loadToken, newToken } from "./http/serve-token.ts";
import { findRunning, removeRunning, writeRunning } from "./running-file.ts";
import { Ledger } from "./session/ledger.ts";
import { watchPolicy } from "./session/policy-watch.ts";
import { Sessions } from "./session/sessions.ts";
import { terminalsOf } from "./session/terminals.ts";
import { StateFile } from "./state-file.ts";
import { allTools } from "./tools/all.ts";

export interface ServeOptions {
  /** `~/.codez`, unless CODEZ_HOME says otherwise. */
  readonly home?: string;
  /** Take precedence over `serve.json`. */
  readonly overrides?: Partial<ServeConfig>;
  /** Sent to clients in the MCP handshake. */
  readonly version?: string;
  /** Called with faults that no caller sees. get_health_details lists the most recent ones, too. */
  readonly onError?: (error: Error) => void;
  /** Called when `serve.json` becomes invalid while serve runs (why), and when it is valid again (`null`). */
  readonly onConfig?: (problem: string | null) => void;
}

export interface Serve {
  /** URL of the MCP endpoint. */
  readonly url: string;
  /** File with the token that MCP clients must send. Only the user who runs serve can read it. */
  readonly tokenFile: string;
  /** Calls the listener with every event from now on, in order. The returned function ends that. */
  subscribe(listener: (event: ServeEvent) => void): () => void;
  /** What is wrong with this machine, each with the command that fixes it, and which agent it has. */
  health(): Promise<HealthDetails>;
  /** Ends every agent, then the endpoint. Nothing is left running. */
  stop(): Promise<void>;
}

/** Starts this machine's MCP server. Throws ConfigInvalid, AlreadyRunning, or an EADDRINUSE error when the port is taken. */
export async function startServe(options: ServeOptions = {}): Promise<Serve> {
  const home = options.home ?? codezHome();
  const folder = join(home, "serve");
  const runningFile = join(folder, "running.json");
  const claude = claudeHome();
  const projectsFolder = join(claude, "projects");
  const config = new ConfigFile(join(home, "serve.json"), options.overrides);
  const faults = new Faults();
  const onError = (error: Error) => {
    faults.add(error);
    options.onError?.(error);
  };
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700); // it may be older than this rule
  const other = findRunning(runningFile);
  if (other !== null && other.pid !== process.pid) {
    throw new AlreadyRunning(
      `codez serve already runs here (process ${other.pid}, http://127.0.0.1:${other.port}/mcp)`,
    );
  }
  await removeDrafts(folder);
  // Agents of a serve that was killed together with its keeper.
  const keeper = new Keeper(createHash("sha256").update(home).digest("hex").slice(0, 16));
  await keeper.endLeftovers();

  const events = new EventLog();
  const permissions = new PermissionBook(join(folder, "permissions.json"), events, () => {
    return config.current.permissionTimeoutMinutes * 60_000;
  });
  const outcomes = new Outcomes(join(folder, "outcomes.json"));
  const ledger = new Ledger(join(folder, "sessions.json"));
  await Promise.all([permissions.load(), outcomes.load(), ledger.load()]);

  const trusts = (path: string) => trustIn(path, claudeStateFile(), config.current.trust);
  const agent = new ClaudeCode(
    () => config.current.claude,
    trusts,
    keeper,
    () => config.current.questions,
  );
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
  const mirror = new Mirror(events, sessions);
  const index = new HistoryIndex({ folder: projectsFolder, database: join(folder, "index.db") }, (growth) => {
    mirror.onGrowth(growth);
  });
  const terminals = () => terminalsOf(claude, sessions.ownPids());
  const machine: Machine = {
    agent,
    catalog: new Catalog({ folder: projectsFolder, index, ledger, permissions, sessions, terminals }),
    config,
    events,
    faults,
    home,
    index,
    outcomes,
    permissions,
    policy: new Policy(
      () => config.current,
      (isFresh) => projects.list(isFresh),
    ),
    positions: new PollPositions(() => events.end),
    projects,
    projectsFolder,
    sessions,
    state: new StateFile(join(folder, "state.json")),
  };

  const endpoint = createEndpoint({
    tools: allTools(machine),
    version: options.version ?? "0.0.0",
    onError,
    onClient: (client) => machine.positions.meet(client),
  });
  const token = newToken();
  const tokenFile = join(folder, "token");
  const mcpToken = await loadToken(tokenFile);
  const mcp = {
    path: "/mcp",
    token: mcpToken,
    maxBodyBytes: MAX_BODY_BYTES,
    handle: (request: Request, body: string) => endpoint.fetch(request, parseJson(body)),
  };

  const stopParts = async () => {
    await sessions.stop();
    await permissions.stop();
    await index.stop();
    keeper.stop();
    await endpoint.close();
  };
  const routes = [mcp, permissionsRoute(machine, token), asksRoute(permissions, token)];
  const listener = await listen(config.current.port, routes, onError).catch(async (error: unknown) => {
    await stopParts();
    throw error;
  });
  await writeRunning(runningFile, { port: listener.port, token, mcpToken });
  const stopWatching = watchConfig(config, options.onConfig ?? (() => undefined));
  const stopApplying = watchPolicy({ config, policy: machine.policy, sessions, onError });

  return {
    tokenFile,
    url: `http://127.0.0.1:${listener.port}/mcp`,
    subscribe: (hear) => events.subscribe(hear),
    health: () => checkHealth(machine, home),
    stop: async () => {
      stopWatching();
      stopApplying();
      await stopParts();
      // Before the port is free: whoever finds the file takes whatever listens there for serve.
      await removeRunning(runningFile);
      await listener.close();
    },
  };
}
