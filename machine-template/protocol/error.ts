/**
 * A caller's machine that does not exist. `machines` are the names that this caller may use, the first
 * `MAX_MACHINES_NAMED` of `machineCount`; both are absent where the answering part does not know the caller's machines.
 */
export type MachineUnknown = {
  code: "machine_unknown";
  machine: string;
  machines?: readonly string[];
  machineCount?: number;
};

/** Enough to spot a misspelt name among a person's machines; an error must stay short for the model that reads it. */
export const MAX_MACHINES_NAMED = 20;

/** What can go wrong between a caller and a machine. Each case has just its evidence. `machine` is the name its owner uses. */
export type OperatorError =
  | { code: "unauthorized" }
  | { code: "forbidden"; reason: string }
  | { code: "invalid_request"; reason: string }
  | MachineUnknown
  | { code: "machine_offline"; machine: string; lastSeenMs: number | null }
  | { code: "machine_timeout"; machine: string; afterMs: number }
  | { code: "machine_revoked"; machine: string }
  | { code: "machine_busy"; machine: string; limit: number }
  | { code: "machine_failed"; machine: string; reason: string }
  | { code: "link_lost"; machine: string }
  | { code: "agent_too_old"; machine: string; reason: string }
  | { code: "tool_unknown"; machine: string; tool: string };

export type OperatorErrorCode = OperatorError["code"];

/** The HTTP status a caller sees; a new code does not compile until it has one. */
export function statusOf({ code }: OperatorError): 400 | 401 | 403 | 404 | 429 | 502 | 503 | 504 {
  switch (code) {
    case "invalid_request":
      return 400;
    case "unauthorized":
      return 401;
    case "forbidden":
      return 403;
    case "machine_unknown":
    case "tool_unknown":
      return 404;
    case "machine_busy":
      return 429;
    case "machine_failed":
    case "agent_too_old":
    case "link_lost":
      return 502;
    case "machine_offline":
    case "machine_revoked":
      return 503;
    case "machine_timeout":
      return 504;
  }
}

/**
 * Whether the same call may be made again without a person doing something first.
 * `link_lost` and `machine_timeout` may have been executed: retryable only when the call is harmless to repeat.
 */
export function isRetryable({ code }: OperatorError): boolean {
  switch (code) {
    case "machine_offline":
    case "machine_busy":
    case "machine_timeout":
    case "link_lost":
      return true;
    case "unauthorized":
    case "forbidden":
    case "invalid_request":
    case "machine_unknown":
    case "machine_revoked":
    case "machine_failed":
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
      return error.reason;
    case "invalid_request":
      return error.reason;
    case "machine_unknown":
      return `There is no machine "${error.machine}". ${knownMachines(error)} Run \`codez setup ${error.machine}\` on a computer to add it.`;
    case "machine_offline":
      return `Machine "${error.machine}" is offline (${lastSeen(error.lastSeenMs)}). Start its connector there: \`codez connect\`, or wake the computer.`;
    case "machine_timeout":
      return `Machine "${error.machine}" did not answer within ${Math.round(error.afterMs / 1000)} s. It may still be working on the call; look before calling again.`;
    case "machine_revoked":
      return `Machine "${error.machine}" was removed or its token rotated. Run \`codez setup ${error.machine}\` there to add it again.`;
    case "machine_busy":
      return `Machine "${error.machine}" has ${error.limit} calls under way, which is the most one link carries. Try again when some are done.`;
    case "machine_failed":
      return `Machine "${error.machine}" could not serve the call: ${error.reason}`;
    case "link_lost":
      return `The link to machine "${error.machine}" was lost during the call. The call may have been carried out; look before calling again. The machine dials in again by itself.`;
    case "agent_too_old":
      return `What machine "${error.machine}" runs is too old for this: ${error.reason}. Update it there and run \`codez connect\` again.`;
    case "tool_unknown":
      return `Machine "${error.machine}" has no tool "${error.tool}". Call list_tools with this machineId for the tools it has.`;
  }
}

/** The error as the plain object that every surface shows: REST bodies, `data` of JSON-RPC errors, structured tool results. */
export function detailsOf(
  error: OperatorError,
): { code: OperatorErrorCode; message: string; retryable: boolean } & Record<string, unknown> {
  return { ...error, message: messageOf(error), retryable: isRetryable(error) };
}

/** The error as an HTTP response, for whoever is not speaking JSON-RPC. */
export function errorResponse(error: OperatorError): Response {
  return Response.json(
    { error: detailsOf(error) },
    { status: statusOf(error), headers: { [ERROR_HEADER]: error.code } },
  );
}

/** Names the error's code on every response that stands in for a machine's own. */
export const ERROR_HEADER = "x-operator-error";

/** JSON-RPC's range for errors that a server defines itself (JSON-RPC 2.0 section 5.1). */
const SERVER_ERROR = -32_000;

/** The JSON-RPC error for the request with this id (`null` when the id could not be read). */
export function jsonRpcError(error: OperatorError, id: string | number | null): object {
  return { jsonrpc: "2.0", id, error: { code: SERVER_ERROR, message: messageOf(error), data: detailsOf(error) } };
}

/** An `OperatorError` on its way up a stack. */
export class OperatorFailure extends Error {
  override readonly name = "OperatorFailure";
  readonly error: OperatorError;

  constructor(error: OperatorError) {
    super(messageOf(error));
    this.error = error;
  }
}

function knownMachines({ machines, machineCount = machines?.length ?? 0 }: MachineUnknown): string {
  if (machines === undefined) return "Call list_machines for the names.";
  if (machines.length === 0) return "You have no machines yet.";
  const more = machineCount - machines.length;
  return `Your machines: ${machines.join(", ")}${more > 0 ? `, and ${more} more (call list_machines)` : ""}.`;
}

function lastSeen(lastSeenMs: number | null): string {
  return lastSeenMs === null ? "it has never been online" : `last seen ${new Date(lastSeenMs).toISOString()}`;
}
