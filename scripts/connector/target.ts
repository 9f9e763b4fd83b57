import { ERROR_HEADER, jsonRpcError, statusOf, type OperatorError } from "#protocol/error.ts";
import type { HeaderList } from "#protocol/header.ts";
import { requestIdsOf } from "#protocol/json-rpc-id.ts";

/** One request for the machine's MCP server. */
export interface TargetRequest {
  readonly method: string;
  /** The query with its `?`, or an empty string. */
  readonly query: string;
  readonly headers: HeaderList;
  /** The whole body, or a stream when it is too large for one frame. */
  readonly body: Uint8Array | ReadableStream<Uint8Array>;
}

/**
 * Receives the answer to one request: `head`, any number of `write`, then `end`; or `fail` at any time. After `cancelled` or the
 * end, further calls have no effect.
 */
export interface Answer {
  /**
   * @param whole whether the body is short and useless in parts. It may then be held until `end` and sent together with the
   * head.
   * @param length size of the whole body in bytes, if it is known. The caller then notices when some are missing.
   */
  head(status: number, headers: HeaderList, whole?: boolean, length?: number): void;
  /** Returns `false` when enough data is waiting. Continue after `drained`. */
  write(chunk: Uint8Array): boolean;
  end(): void;
  /** Breaks the answer off, for this reason. */
  fail(reason: string): void;
  /** Whether the answer has ended or broken off, or nobody waits for it any more. */
  readonly isOver: boolean;
  /** Called when more may be written. */
  drained: (() => void) | null;
  /** Called once, when nobody waits for the answer any more. */
  cancelled: ((reason: string) => void) | null;
}

/** This machine's MCP server: one at a URL, or one that is started as a child process. */
export interface Target {
  serve(request: TargetRequest, answer: Answer): void;
  /** Ends everything that was started for it. */
  close(): Promise<void>;
}

/** Answers in place of the target, with a JSON-RPC error for each request in `body`. */
export function answerError(answer: Answer, error: OperatorError, body: TargetRequest["body"]): void {
  const ids = body instanceof Uint8Array ? requestIdsOf(body) : [];
  const errors = (ids.length === 0 ? [null] : ids).map((id) => jsonRpcError(error, id));
  answerJson(answer, statusOf(error), errors.length === 1 ? errors[0] : errors, [[ERROR_HEADER, error.code]]);
}

export function answerJson(answer: Answer, status: number, value: unknown, headers: HeaderList = []): void {
  answer.head(status, [["content-type", "application/json"], ...headers], true);
  answer.write(Buffer.from(JSON.stringify(value)));
  answer.end();
}
