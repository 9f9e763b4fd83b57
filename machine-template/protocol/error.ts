import { isoTime } from "./iso-time.ts";

/**
 * The caller named a machine that does not exist. `machines` are the names that this caller may use, the first
 * `MAX_MACHINES_NAMED` of `machineCount`. Both are absent when the error comes from a Worker that does not know the
 * caller's machines.
 */
type MachineUnknown = {
  code: "machine_unknown";
  machine: string;
  machines?: readonly string[];
  machineCount?: number;
};

/** Enough to recognise a misspelt name. An error must stay short, because a model pays for reading it. */
export const MAX_MACHINES_NAMED = 20;

/** What the limit of `machine_busy` counts: calls (the default), or the open MCP sessions of a stdio server. */
type Countable = "calls" | "sessions";

/** What there is too much of. */
type TooManyOf = "token" | "address" | "open" | "large_calls" | "tries" | "machines";

/**
 * Everything that can go wrong between a caller and a machine. This is the only list of error codes that leave Operator.
 * Each case carries its evidence; HTTP status, message and `retryable` are derived from it. `machine` is the name that the
 * machine's owner gave it.
 */
export type OperatorError =
  | { code: "unauthorized" }
  | { code: "forbidden"; reason: string }
  | { code: "invalid_request"; reason: string }
  /** `what` needs a person who has signed in within the last minutes. `page`: where a person can do the same. */
  | { code: "fresh_sign_in_needed"; what: string; page: string }
  | { code: "not_found"; reason: string }
  | { code: "cursor_expired" }
  | { code: "name_taken"; name: string }
  | { code: "token_unknown" }
  | { code: "grant_unknown" }
  | { code: "sign_in_unavailable" }
  | { code: "internal" }
  /**
   * More requests than one token, or one address without a valid token, may send, more than may be open at once, more calls with large bodies than there is memory for,
   * more tries of a webhook than a person needs, or more new machines at once than a computer could start. `afterMs`: when the next one is accepted, or may be.
   */
  | { code: "too_many_requests"; of: TooManyOf; afterMs: number }
  /** The token's maker limited its calls per day (UTC), and it has made them. `afterMs`: time until the next day. */
  | { code: "budget_spent"; perDay: number; afterMs: number }
  | MachineUnknown
  /** Its person has not allowed clients to answer permission requests of this machine. `page`: where they can. */
  | { code: "approval_not_allowed"; machine: string; page: string }
  /**
   * Somebody answered a request before, in another way. `what` was asked; `by` says who, in words. `behavior` is `null` if it was answered
   * where only the agent knows how: in its terminal.
   */
  | { code: "already_decided"; what: string; behavior: "allow" | "deny" | null; by: string; atMs: number }
  /** The idempotency key was used for another call. */
  | { code: "key_reused"; key: string }
  /** The name is another machine's than the one that a page showed. */
  | { code: "machine_replaced"; machine: string }
  | { code: "machine_offline"; machine: string; lastSeenMs: number | null }
  | { code: "machine_timeout"; machine: string; afterMs: number }
  | { code: "machine_revoked"; machine: string }
  | { code: "machine_busy"; machine: string; limit: number; counts?: Countable }
  /** The machine's script is being started or replaced. The call has not reached it. */
  | { code: "machine_starting"; machine: string }
  /** `mayHaveRun`: the failure came after the machine had received the call, so the call may have been carried out. */
  | { code: "machine_failed"; machine: string; reason: string; mayHaveRun?: true }
  | { code: "link_lost"; machine: string }
  | { code: "answer_too_large"; machine: string; limitBytes: number }
  | { code: "agent_too_old"; machine: string; reason: string }
  | { code: "tool_unknown"; machine: string; tool: string };

export type OperatorErrorCode = OperatorError["code"];

/** The HTTP status a caller sees; a new code does not compile until it has one. */
export function statusOf({ code }: OperatorError): 400 | 401 | 403 | 404 | 409 | 410 | 429 | 500 | 502 | 503 | 504 {
  switch (code) {
    case "invalid_request":
      return 400;
    case "unauthorized":
      return 401;
    case "forbidden":
    case "fresh_sign_in_needed":
    case "approval_not_allowed":
      return 403;
    case "not_found":
    case "token_unknown":
    case "grant_unknown":
    case "machine_unknown":
    case "tool_unknown":
      return 404;
    case "name_taken":
    case "already_decided":
    case "key_reused":
    case "machine_replaced":
      return 409;
    case "cursor_expired":
      return 410;
    case "machine_busy":
    case "too_many_requests":
    case "budget_spent":
      return 429;
    case "internal":
      return 500;
    case "machine_failed":
    case "agent_too_old":
    case "answer_too_large":
    case "link_lost":
      return 502;
    case "sign_in_unavailable": // not 401: the client would discard a token that is valid
    case "machine_starting":
    case "machine_offline":
    case "machine_revoked":
      return 503;
    case "machine_timeout":
      return 504;
  }
}

/**
 * Whether the same call may succeed later without anybody changing anything first. A call that failed with `link_lost` or
 * `machine_timeout` may have been carried out (`mayHaveRun`), so repeat it only if doing it twice is harmless.
 */
export function isRetryable({ code }: OperatorError): boolean {
  switch (code) {
    case "machine_offline":
    case "machine_starting":
    case "machine_busy":
    case "machine_timeout":
    case "link_lost":
    case "sign_in_unavailable":
    case "too_many_requests":
    case "budget_spent":
    case "internal":
      return true;
    case "unauthorized":
    case "forbidden":
    case "fresh_sign_in_needed":
    case "approval_not_allowed":
    case "already_decided":
    case "key_reused":
    case "machine_replaced":
    case "invalid_request":
    case "not_found":
    case "cursor_expired":
    case "name_taken":
    case "token_unknown":
    case "grant_unknown":
    case "machine_unknown":
    case "machine_revoked":
    case "machine_failed":
    case "agent_too_old":
    case "answer_too_large":
    case "tool_unknown":
      return false;
  }
}

/**
 * Whether the call may have been carried out although it failed. `false` is a guarantee that the machine has not started
 * it. Where this is `true` the message says so in words, because models read the message and not this flag.
 */
export function mayHaveRun(error: OperatorError): boolean {
  switch (error.code) {
    case "link_lost":
    case "machine_timeout":
    case "machine_revoked":
    case "answer_too_large":
      return true;
    case "machine_failed":
      return error.mayHaveRun ?? false;
    case "unauthorized":
    case "internal": // only REST answers with this; a call to a machine never does
    case "sign_in_unavailable":
    case "too_many_requests":
    case "budget_spent":
    case "forbidden":
    case "fresh_sign_in_needed":
    case "approval_not_allowed":
    case "already_decided":
    case "key_reused":
    case "machine_replaced":
    case "invalid_request":
    case "not_found":
    case "cursor_expired":
    case "name_taken":
    case "token_unknown":
    case "grant_unknown":
    case "machine_unknown":
    case "machine_offline":
    case "machine_starting":
    case "machine_busy":
    case "agent_too_old":
    case "tool_unknown":
      return false;
  }
}

/** What happened, and what to do about it, for the caller. */
export function messageOf(error: OperatorError): string {
  switch (error.code) {
    case "unauthorized":
      return "Sign in first: this needs a valid access token.";
    case "forbidden":
    case "invalid_request":
    case "not_found":
      return error.reason;
    case "fresh_sign_in_needed":
      return `${error.what} needs a person. An app may do it within 15 minutes after a person has allowed it, and a personal access token only with the scope operator:tokens. Sign in again, or do it at ${error.page}.`;
    case "approval_not_allowed":
      return `A person decides this: ask them to open ${new URL("/inbox", error.page).href}, or to run \`codez permissions\` on machine "${error.machine}". They can let clients answer for this machine at ${error.page}.`;
    case "already_decided":
      return `This ${error.what} was ${error.behavior === null ? "answered" : error.behavior === "allow" ? "allowed" : "denied"} before, at ${isoTime(error.atMs)}, by ${error.by}. Nothing was changed.`;
    case "key_reused":
      return `The key ${error.key} was used for another call. Use a new key for every new call, and the same one only to repeat a call.`;
    case "machine_replaced":
      return `The name "${error.machine}" belongs to another machine now than the one that you were shown. Nothing was done. Look again, and repeat it if you still want it.`;
    case "cursor_expired":
      return "This cursor is from before an upgrade or a restored backup, or it belongs to somebody else. Poll without a cursor to get the newest events, and go on with the cursor that you get.";
    case "name_taken":
      return `Another of your machines is called "${error.name}". Choose another name, or take this one over with \`codez setup ${error.name} --replace\`.`;
    case "token_unknown":
      return "There is no such token.";
    case "grant_unknown":
      return "There is no such grant.";
    case "sign_in_unavailable":
      return "Operator could not check this token just now. Try again in a few seconds.";
    case "internal":
      return "Operator failed to handle this request. The reason is in its log (`npx wrangler tail operator`, or the terminal of `npm start`).";
    case "too_many_requests":
      return tooMany(error.of, seconds(error.afterMs));
    case "budget_spent":
      return `This token may make ${error.perDay} calls a day, and has made them. Nothing was done. It may call again in ${seconds(error.afterMs)}, at 00:00 UTC. A token with a higher limit: codez tokens create <label> --calls-per-day <calls>.`;
    case "machine_unknown":
      return `There is no machine "${error.machine}". ${knownMachines(error)} Run \`codez setup ${error.machine}\` on a computer to add it.`;
    case "machine_offline":
      return `Machine "${error.machine}" is offline (${lastSeen(error.lastSeenMs)}). Start \`codez up\` or \`codez connect\` there, or wake the computer.`;
    case "machine_timeout":
      return `Machine "${error.machine}" did not answer within ${Math.round(error.afterMs / 1000)} s. It may still be working on the call. Check what has been done before you call again.`;
    case "machine_revoked":
      return `Machine "${error.machine}" was removed, or its link token was rotated, during the call. The call may have been carried out. To add the machine again, run \`codez setup ${error.machine}\` on that computer.`;
    case "machine_busy":
      return error.counts === "sessions"
        ? `Machine "${error.machine}" has ${error.limit} MCP sessions open, the most that its stdio server may have (each session is a separate process), and all of them are busy with a call. Try again when one of the calls is done.`
        : `Machine "${error.machine}" has ${error.limit} calls in progress, the most that one machine handles at a time. Try again when one of them is done.`;
    case "machine_failed":
      return `Machine "${error.machine}" could not serve the call: ${sentence(error.reason)}${error.mayHaveRun === true ? " The call may have been carried out. Check what has been done before you call again." : ""}`;
    case "machine_starting":
      return `Machine "${error.machine}" is being started or upgraded. The call has not reached it. Try again in a few seconds.`;
    case "answer_too_large":
      return `The answer of machine "${error.machine}" is larger than ${Math.round(error.limitBytes / 1024 / 1024)} MiB, the most that /mcp passes on. The call was carried out. Ask for less, or call the machine at its own URL (mcpUrl in get_machine), which streams answers of any size.`;
    case "link_lost":
      return `The link to machine "${error.machine}" was lost during the call. The call may have been carried out. Check what has been done before you call again. The machine reconnects by itself.`;
    case "agent_too_old":
      return `The codez on machine "${error.machine}" is too old: ${sentence(error.reason)} On that computer, update it from this Operator: \`npx -y <operator>/codez.tgz setup ${error.machine}\`, then run \`codez connect\` again.`;
    case "tool_unknown":
      return `Machine "${error.machine}" has no tool "${error.tool}". Call list_tools with this machineId to see its tools.`;
  }
}

/** The error as a plain object. REST bodies, the `data` of JSON-RPC errors and structured tool results all contain this one. */
export function detailsOf(
  error: OperatorError,
): { code: OperatorErrorCode; message: string; retryable: boolean } & Record<string, unknown> {
  return { ...error, message: messageOf(error), retryable: isRetryable(error) };
}

/** The error as an HTTP response, for callers that do not speak JSON-RPC. */
export function errorResponse(error: OperatorError, headers: Record<string, string> = {}): Response {
  return Response.json(
    { error: detailsOf(error) },
    { status: statusOf(error), headers: { [ERROR_HEADER]: error.code, ...headers } },
  );
}

/** Set, to the error's code, on every response that Operator makes in place of a machine's own. */
export const ERROR_HEADER = "x-operator-error";

/** JSON-RPC's range for errors that a server defines itself (JSON-RPC 2.0 section 5.1). */
const SERVER_ERROR = -32_000;

/** The JSON-RPC error for the request with this id (`null` when the id could not be read). */
export function jsonRpcError(error: OperatorError, id: string | number | null): object {
  return { jsonrpc: "2.0", id, error: { code: SERVER_ERROR, message: messageOf(error), data: detailsOf(error) } };
}

/** An `OperatorError` that is thrown. */
export class OperatorFailure extends Error {
  override readonly name = "OperatorFailure";
  readonly error: OperatorError;

  constructor(error: OperatorError) {
    super(messageOf(error));
    this.error = error;
  }
}

/** A reason may come from elsewhere, with a full stop or without one. */
function sentence(reason: string): string {
  return /[.!?]$/.test(reason) ? reason : `${reason}.`;
}

function knownMachines({ machines, machineCount = machines?.length ?? 0 }: MachineUnknown): string {
  if (machines === undefined) return "Call list_machines for the names.";
  if (machines.length === 0) return "You have no machines yet.";
  const more = machineCount - machines.length;
  return `Your machines: ${machines.join(", ")}${more > 0 ? `, and ${more} more (call list_machines)` : ""}.`;
}

function lastSeen(lastSeenMs: number | null): string {
  return lastSeenMs === null ? "it has never been online" : `last seen ${isoTime(lastSeenMs)}`;
}

function tooMany(of: TooManyOf, wait: string): string {
  switch (of) {
    case "token":
      return `This token sends requests faster than Operator accepts them. Nothing was done. Wait ${wait}, then send this request again, and send fewer at once.`;
    case "address":
      return `Too many requests without a valid token came from this address. Wait ${wait}, then try again with a valid token.`;
    case "open":
      return `Too many of your calls and event streams are open at once. Nothing was done. Wait ${wait}, or close some, then send this request again.`;
    case "tries":
      return `You have had enough messages sent for now. Nothing was sent. Wait ${wait}, then try again.`;
    case "machines":
      return `You have added many machines in a short time. Nothing was done. Wait ${wait}, then add this one again.`;
    case "large_calls":
      return `Too many calls with large bodies are being made at once. Nothing was done. Wait ${wait}, or until one of yours has ended, then send this call again.`;
  }
}

function seconds(ms: number): string {
  return `${Math.max(1, Math.ceil(ms / 1_000))} s`;
}
