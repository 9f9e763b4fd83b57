import type { Bearer } from "../http/caller.ts";
import type { AskKind, Decision, Settlement } from "#protocol/ask.ts";

/**
 * Who decides: a person on one of Operator's signed-in pages; an MCP client whose person allowed it to (machines/approval.ts); or somebody
 * to whom an MCP client showed this one request in a form (elicitation/README.md). `bearer`: what they were let in with, unless that cannot be
 * revoked. When it is, the decision must not reach the machine any more.
 */
export type Decider = { readonly via: "page" | "client" | "form"; readonly name: string; readonly bearer?: Bearer };

/** What somebody decided. */
export type Verdict = Pick<Decision, "behavior" | "reason" | "answers" | "forSession">;

/**
 * A decision that was accepted here. It is `delivered` when the machine has taken it; a request counts as settled only then. Times are
 * in milliseconds since 1970.
 */
export type AcceptedDecision = Verdict & {
  readonly by: Decider;
  readonly acceptedMs: number;
  readonly deliveredMs: number | null;
};

/** What is asked, as the machine tells it, within limits. `input` is JSON; `isWhole`: nothing of it is missing. */
export type AskContent = {
  readonly tool: string;
  readonly why: string | null;
  readonly cwd: string | null;
  readonly input: string;
  readonly isWhole: boolean;
  /** What a person may allow for the rest of the session, in the agent's notation. Absent or empty: nothing. */
  readonly sessionRules?: readonly string[];
};

/** Something that waits for a person, or did. `id` is Operator's own; `request` is the machine's. */
export type InboxItem = AskContent & {
  readonly id: number;
  readonly machine: string;
  /** Whether the machine was removed, or its name passed to another computer. */
  readonly machineGone: boolean;
  readonly request: string;
  /** The machine's own id of the session; `null` if the machine did not say. */
  readonly session: string | null;
  readonly kind: AskKind;
  readonly project: string | null;
  readonly title: string | null;
  readonly askedMs: number;
  /** Until when it waits, counted from its arrival here. The machine's own clock decides, and may be a little earlier. */
  readonly untilMs: number;
  readonly decision: AcceptedDecision | null;
  readonly settled: Settlement | null;
};

/** Which requests a reader wants. */
export type InboxQuery = {
  /** Identities of the computers that the reader may see; `null` for all. */
  readonly visible: readonly string[] | null;
  readonly machine: string | null;
  readonly session: string | null;
  /** Those that wait, oldest first; or those that were settled, newest first. */
  readonly state: "waiting" | "settled";
  /** Only those after this one, in that order. */
  readonly after: number | null;
  /**
   * For pages, which show the beginning only: the oldest request of each machine first, then the second of each, and so on. Otherwise a
   * machine that asks without end would hide what the others ask. Without a cursor.
   */
  readonly isMixed?: boolean;
};

export type InboxPage = { readonly items: readonly InboxItem[]; readonly next: number | null };

/** The effect of a decision: `settled` by it, or accepted and on its way to a machine that is away. `isFirst`: it was not known before. */
export type DecisionResult = { readonly item: InboxItem; readonly isFirst: boolean };
