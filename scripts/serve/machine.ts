import type { Agent } from "./agent/agent.ts";
import type { ConfigFile } from "./config-file.ts";
import type { EventLog } from "./event-log.ts";
import type { Faults } from "./health/faults.ts";
import type { Catalog } from "./history/catalog.ts";
import type { HistoryIndex } from "./search-index/history-index.ts";
import type { Outcomes } from "./outcomes.ts";
import type { PermissionBook } from "./permission/book.ts";
import type { Policy } from "./policy.ts";
import type { PollPositions } from "./poll-positions.ts";
import type { Projects } from "./project/projects.ts";
import type { Sessions } from "./session/sessions.ts";
import type { StateFile } from "./state-file.ts";

/** Everything that the tools work with. */
export interface Machine {
  readonly agent: Agent;
  readonly catalog: Catalog;
  readonly config: ConfigFile;
  readonly events: EventLog;
  readonly faults: Faults;
  /** Where serve keeps its own files. */
  readonly home: string;
  readonly index: HistoryIndex;
  readonly outcomes: Outcomes;
  readonly permissions: PermissionBook;
  readonly policy: Policy;
  readonly positions: PollPositions;
  readonly projects: Projects;
  /** Where Claude Code keeps its history. */
  readonly projectsFolder: string;
  readonly sessions: Sessions;
  readonly state: StateFile;
}
