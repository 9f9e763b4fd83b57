import type { Agent } from "./agent/agent.ts";
import type { ConfigFile } from "./config.ts";
import type { EventLog } from "./event-log.ts";
import type { Outcomes } from "./outcomes.ts";
import type { PermissionBook } from "./permission/book.ts";
import type { Policy } from "./policy.ts";
import type { PollPositions } from "./poll-positions.ts";
import type { Projects } from "./project/projects.ts";
import type { Sessions } from "./session/sessions.ts";

/** All that the tools work on. */
export interface Machine {
  readonly agent: Agent;
  readonly config: ConfigFile;
  readonly events: EventLog;
  readonly outcomes: Outcomes;
  readonly permissions: PermissionBook;
  readonly policy: Policy;
  readonly positions: PollPositions;
  readonly projects: Projects;
  readonly sessions: Sessions;
}
