import type { MessageAnswer } from "./message-answer.ts";

/** An HTTP request that waits for a child's responses: one, or those of a batch. */
export type Pending = {
  readonly answer: MessageAnswer;
  /** Keys of the ids that are not answered yet, with the ids as they were written. */
  readonly ids: Map<string, string>;
  readonly isBatch: boolean;
  /** Whether the caller reads event streams. */
  readonly streams: boolean;
};
