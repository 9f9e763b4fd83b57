import { ERROR_HEADER, jsonRpcError, statusOf, type OperatorError } from "#protocol/error.ts";
import type { HeaderList } from "#protocol/header.ts";
import { requestIdsOf } from "#protocol/json-rpc-id.ts";

/** One request for the machine's MCP server. */
export interface TargetRequest {
  readonly method: string;
  /** What follows the endpoint's path: empty, or a query with its `?`. */
  readonly query: string;
  readonly headers: HeaderList;
  /** All of the body, or a stream of it when it is too large for one frame. */
  readonly body: Uint8Array | ReadableStream<Uint8Array>;
}

/**
 * Where the answer to one request goes. `head`, any number of `write`, then `end`; or `fail` at any time.
 * After `cancelled` or the end, further calls do nothing.
 */
export interface Answer {
  /**
   * @param whole the body is short and of no use in parts: it may be held until `end`, to go out with its head.
   * @param length bytes of the whole body, if they are known; the caller then notices when some are missing.
   */
  head(status: number, headers: HeaderList, whole?: boolean, length?: number): void;
  /** `false`: enough is waiting to be read; go on after `drained`. */
  write(chunk: Uint8Array): boolean;
  end(): void;
  /** The answer breaks off here, for this reason. */
  fail(reason: string): void;
  /** It was ended or broken off, or nobody waits for it any more. */
  readonly isOver: boolean;
  /** Called when more may be written. */
  drained: (() => void) | null;
  /** Called once when nobody waits for the answer any more. */
  cancelled: ((reason: string) => void) | null;
}

/** What answers on this machine: an MCP server behind a URL, or one that is started as a child process. */
export interface Target {
  serve(request: TargetRequest, answer: Answer): void;
  /** Ends all that was started for it. */
  close(): Promise<void>;
}

/** An answer in place of the target's own, made of a JSON-RPC error for each request in `body`. */
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
