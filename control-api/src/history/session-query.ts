import type { IndexedSession, SessionPlace, SessionQuery } from "./session-index.ts";

/** Which sessions a reader wants to see. */
export type SessionListQuery = Omit<SessionQuery, "ids"> & {
  /** Identities of the computers that the reader may see; `null` for all of the person's, removed ones included. */
  readonly visible: readonly string[] | null;
  /** Only this machine. */
  readonly machine: string | null;
};

/** A session with the status of its machine now. */
export type ListedSession = IndexedSession & { readonly status: "online" | "offline" | "gone" };

/** A page of sessions. `isKnown`: there is, or was, a machine of the name that was asked for. */
export type IndexedSessions = {
  readonly sessions: readonly ListedSession[];
  readonly next: SessionPlace | null;
  readonly isKnown: boolean;
};
