/**
 * What is known of a call that has a key, and each step only with proof.
 *
 * - `accepted`: stored here, and nothing more is known. Of a call that is not queued: the last attempt failed.
 * - `delivered`: the machine has answered, and has written it down.
 * - `consumed`: the agent has taken the prompt (its own event says so), or there was none to take.
 * - `failed`: the machine refused it, or it cannot be known whether it ran and repeating it would not be safe.
 * - `cancelled`, `expired`: it was not delivered, and will not be.
 */
export type DeliveryState = "accepted" | "delivered" | "consumed" | "failed" | "cancelled" | "expired";

/** A call as its client makes it. `scope` is the client's credential: keys of different clients are different keys. */
export type DeliveryRequest = {
  readonly scope: string;
  readonly key: string;
  readonly machine: string;
  /** The computer that the machine's name belongs to now. */
  readonly identity: string;
  readonly tool: string;
  /** Of the machine, tool and arguments: by it a key that is used for another call is found out. */
  readonly digest: string;
  /** The session that it is for, as its machine names it; `null` if it makes one. */
  readonly session: string | null;
  /** JSON, without what only Operator needs. */
  readonly args: string;
  /** Whether it waits for a machine that is away, and until when. Milliseconds. */
  readonly isQueued: boolean;
  readonly queueMs: number;
};

/** Times are in milliseconds since 1970. */
export type DeliveryRecord = {
  readonly id: number;
  readonly key: string;
  readonly machine: string;
  readonly tool: string;
  readonly state: DeliveryState;
  readonly isQueued: boolean;
  readonly attempts: number;
  readonly acceptedMs: number;
  readonly untilMs: number;
  readonly deliveredMs: number | null;
  readonly consumedMs: number | null;
  readonly endedMs: number | null;
  /** An attempt broke off after the machine may have begun. */
  readonly mayHaveRun: boolean;
  /** The machine's result of `tools/call`, as JSON. */
  readonly answer: string | null;
  /** Why the last attempt failed: an `OperatorError` as JSON. */
  readonly error: string | null;
};

/** What became of one attempt at the machine. */
export type Attempt =
  /** `turn`: the prompt's id, by which the agent's event names it. `isTaken`: the agent has it. */
  | { readonly outcome: "delivered"; readonly answer: string; readonly turn: string | null; readonly isTaken: boolean }
  /** The machine's tool refused: its result says why. */
  | { readonly outcome: "refused"; readonly answer: string }
  /** The machine was not reached, or did not answer. `mayHaveRun`: it may have carried the call out. */
  | { readonly outcome: "away"; readonly error: string; readonly mayHaveRun: boolean };
