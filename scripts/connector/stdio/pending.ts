import type { MessageAnswer } from "./message-answer.ts";

/** An HTTP request that waits for a child's responses: one, or those of a batch. */
export type Pending = {
  readonly answer: MessageAnswer;
  /** The ids that are not answered yet: their keys, and how they were written. */
  readonly ids: Map<string, string>;
  readonly isBatch: boolean;
  /** Whether the caller accepts event streams. */
  readonly streams: boolean;
};
