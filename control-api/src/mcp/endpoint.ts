import {
  CLIENT_CAPABILITIES_META_KEY,
  createMcpHandler,
  isJsonContentType,
  type McpHttpHandler,
  ProtocolErrorCode,
  ResourceNotFoundError,
  Server,
} from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { isEventStream } from "#protocol/header.ts";
import { hasTooManyValues, isRecord, MAX_JSON_VALUES, parseJson } from "#protocol/json.ts";
import { detailsOf, type OperatorError } from "#protocol/error.ts";
import { errorResult } from "#protocol/tool-result.ts";
import { failureResponse } from "#protocol/stand-in.ts";
import type { Caller } from "../http/caller.ts";
import type { NoBody } from "../http/held-bodies.ts";
import { onClientLeft } from "../http/client-left.ts";
import { type HeldAnswers, largeAnswers } from "../http/large-answers.ts";
import { type HeldCall, largeCalls, missingBody } from "../http/large-calls.ts";
import { formsOnStream, isFormSession, newSession, showsForms, takeAnswer } from "../elicitation/client-form.ts";
import type { Elicit } from "../elicitation/elicit.ts";
import type { Env } from "../env.ts";
import { TEMPLATE } from "../machines/provisioning.ts";
import { digestLater } from "../audit/asked.ts";
import { note } from "../audit/note.ts";
import { EVENTS_CAPABILITIES, serveEvents } from "../mcp-events/methods.ts";
import type { RequestLease } from "../http/request-lease.ts";
import { type Refusal, refuse, refuseRead, stepUp } from "../http/refusal.ts";
import { RESOURCES, resourceAt } from "./apps/fleet-app.ts";
import { TOOL_BY_NAME, TOOLS } from "./tools/tool-list.ts";
import type { ToolOutcome } from "./tools/tool.ts";
import { runTool } from "./tools/tools.ts";
import { cancel, cancellable, type ClientSession, SESSION_HEADER } from "./cancellation.ts";
import { type LeanRequest, leanCall, leanList, leanRequestIn } from "./lean-lane.ts";

const MB = 1024 * 1024;

/** A call's arguments may contain a file or an image. */
const MAX_REQUEST_BYTES = 16 * MB;

/** Clients may cache the lists for a day. They are the same for everybody until a new version of Operator is deployed. */
const LIST_CACHE = { ttlMs: 24 * 60 * 60_000, cacheScope: "public" } as const;

const INSTRUCTIONS = `Operator connects you to the user's machines. You choose the machine: call list_machines, then pass its name as machineId.
On a coding machine: list_projects, create_session, send_prompt, then poll_events with the session's handle <machine>/<id>.
On any other machine: list_tools and call_tool. Errors say what to do. An error of one machine does not affect the others.`;

const LIST_RESULT = { tools: [...TOOLS] };

/** One SDK handler per isolate. The caller is passed in with each request. */
const handlers = new WeakMap<Env, McpHttpHandler>();

/** Counts the messages of a batch as so many requests (sign-in/batch.ts). `null` if all may pass. */
type AdmitBatch = (messages: number) => Promise<Refusal | null>;

/**
 * The unified endpoint: every revision of MCP on one URL. It is stateless, so no request waits for a machine or for another
 * request. A POST's body is read here, once, so that the SDK's handler does not have to copy it in order to inspect it. Most
 * requests are answered by lean-lane.ts, the rest by the SDK's handler.
 */
export async function serveMcp(
  request: Request,
  env: Env,
  caller: Caller,
  lease: RequestLease,
  admit: AdmitBatch,
): Promise<Response> {
  const handler = handlers.get(env) ?? handlerFor(env);
  if (request.method !== "POST") return handler.fetch(request, { authInfo: unreadBy(caller, lease) });
  if (!isJsonContentType(request.headers.get("content-type")))
    return handler.fetch(unread(request), { authInfo: unreadBy(caller, lease) });
  const beganMs = Date.now();
  const held = await largeCalls.read(request, MAX_REQUEST_BYTES, caller);
  if ("missing" in held) return refuseUnread(held);
  const answers = largeAnswers.of(caller.user);
  onClientLeft(request, () => answers.release());
  try {
    const response = (await lease.holdsAfterBody(beganMs))
      ? await serve(request, held, answers, handler, env, caller, lease, admit)
      : refuse({ refused: "bad_token" }, new URL(request.url), env);
    return untilRead(response, answers);
  } catch (reason) {
    answers.release();
    throw reason;
  } finally {
    held[Symbol.dispose]();
  }
}

/** Counts the large answers of machines until the client has read what it gets of them. */
function untilRead(response: Response, answers: HeldAnswers): Response {
  const { body, headers } = response;
  const isStream = isEventStream(headers.get("content-type"));
  // A stream may have begun before there is an answer.
  if (body === null || (!answers.hasAny && !isStream)) {
    answers.release();
    return response;
  }
  // The chunks of a stream come from JavaScript. Those of any other answer are the runtime's, which would pass them to JavaScript 4 KB at a time.
  const { readable, writable } = isStream
    ? new TransformStream<Uint8Array, Uint8Array>()
    : new IdentityTransformStream();
  const release = (): void => answers.release();
  void body.pipeTo(writable).then(release, release);
  return new Response(readable, response);
}

/** A POST whose body nobody needs. The handler would read it, whatever its size, before it looks at its type. */
function unread(request: Request): Request {
  return withText(request, "");
}

function withText({ url, method, headers }: Request, body: string): Request {
  return new Request(url, { method, headers, body });
}

function unreadBy(caller: Caller, lease: RequestLease) {
  return authInfoFor({ caller, lease, digest: () => null, client: null, held: null, answers: null });
}

/** The answer to a call whose body was not read as a whole, so that its id is not known. */
function refuseUnread(missing: NoBody): Response {
  if (missing.missing !== "too_large") return failureResponse(missingBody(missing), null);
  const message = `The request is larger than ${MAX_REQUEST_BYTES / MB} MB, the most that is accepted here. A machine's own URL takes larger ones.`;
  return rpcError(413, ProtocolErrorCode.InvalidRequest, message);
}

function rpcError(status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: "2.0", error: { code, message }, id: null }, { status });
}

/** The answer to a POST with a body of JSON. */
async function serve(
  request: Request,
  held: HeldCall,
  answers: HeldAnswers,
  handler: McpHttpHandler,
  env: Env,
  caller: Caller,
  lease: RequestLease,
  admit: AdmitBatch,
): Promise<Response> {
  const text = new TextDecoder().decode(held.bytes);
  const parsedBody = parseJson(text);
  if (parsedBody === undefined) {
    if (!hasTooManyValues(text)) return handler.fetch(withText(request, text), { authInfo: unreadBy(caller, lease) });
    const why = `The request has more than ${MAX_JSON_VALUES} values. Send large things as text, such as a file's content in Base64.`;
    return rpcError(400, ProtocolErrorCode.InvalidRequest, why);
  }
  const url = new URL(request.url);
  const beyond = Array.isArray(parsedBody) ? await admit(parsedBody.length) : null;
  if (beyond !== null) return refuseRead(beyond, held.bytes, url, env);
  const digest = digestLater(text);
  const session = request.headers.get(SESSION_HEADER);
  const client = session === null ? null : { user: caller.user, session };
  const asker = { caller, lease, digest, client, held, answers };
  const cancelled = client === null ? undefined : Cancelled.safeParse(parsedBody).data;
  if (client !== null && cancelled !== undefined) cancel(client, cancelled.params.requestId);
  if (session !== null && (await takeAnswer(env, caller, session, parsedBody)))
    return new Response(null, { status: 202 });
  const stepUpTo = caller.mayAct ? null : toolBeyondReading(parsedBody);
  if (stepUpTo !== null) {
    const refused = { kind: "call", client: caller.client, subject: stepUpTo, digest: digest() } as const;
    note(env, caller.user, { ...refused, outcome: "forbidden" });
    return stepUp(["mcp:tools"], url, env, `${stepUpTo} does more than read, and this token may only read.`);
  }
  const lean = env.SDK_LANE_ONLY === "1" ? null : leanRequestIn(request, parsedBody);
  if (lean !== null) return serveLean(lean, request.signal, env, asker);
  const response = await handler.fetch(request, { authInfo: authInfoFor(asker), parsedBody });
  return isInitialize(parsedBody) && response.ok ? withSession(response, parsedBody) : response;
}

/** The answer to `initialize`, with an id for this client. See cancellation.ts. */
function withSession(response: Response, initialize: unknown): Response {
  const own = new Response(response.body, response);
  own.headers.set(SESSION_HEADER, newSession(initialize));
  return own;
}

function isInitialize(body: unknown): boolean {
  return isRecord(body) && body["method"] === "initialize";
}

const Cancelled = z.object({
  method: z.literal("notifications/cancelled"),
  params: z.object({ requestId: z.union([z.string(), z.number()]) }),
});

function serveLean(
  lean: LeanRequest,
  signal: AbortSignal,
  env: Env,
  { caller, lease, digest, client, held, answers }: Asker,
): Response | Promise<Response> {
  if (lean.method === "tools/list") return leanList(lean.id);
  const { id, name, args, meta, progressToken } = lean;
  return leanCall(id, (notify, request) =>
    whileHeld({ held, client, lease }, id, (cancelled) =>
      runTool({
        env,
        caller,
        digest,
        name,
        args,
        meta,
        ...(answers === null ? {} : { held: answers }),
        ...(client !== null && isFormSession(client.session)
          ? { elicit: formsOnStream(env, caller, client.session, { request, notify }) }
          : {}),
        progress: progressToken !== undefined,
        signal: AbortSignal.any([signal, lease.signal, cancelled]),
        concerns: (machine) => lease.concerns(machine),
        onNotification: async (method, notified) => {
          // The machine's notification, with the progress token that this caller chose.
          if (method === "notifications/progress" && progressToken !== undefined)
            await notify(method, { ...notified, progressToken });
        },
      }),
    ),
  );
}

/**
 * The name of the called tool if it does more than read. `runTool` refuses such a call, too; refusing it here tells the client
 * which scope to request.
 */
function toolBeyondReading(body: unknown): string | null {
  const call = ToolsCall.safeParse(body).data;
  const tool = call === undefined ? undefined : TOOL_BY_NAME.get(call.params.name)?.definition;
  return tool === undefined || tool.annotations?.readOnlyHint === true ? null : tool.name;
}

const ToolsCall = z.object({ method: z.literal("tools/call"), params: z.object({ name: z.string() }) });

/**
 * The caller, the lease on their authorisation, the digest of the request body, which of the caller's clients it is, if that is
 * known, and the body itself, if it was read. The SDK passes it from a request to the server's handlers.
 */
type Asker = {
  readonly caller: Caller;
  readonly lease: RequestLease;
  readonly digest: () => string | null;
  readonly client: ClientSession | null;
  readonly held: HeldCall | null;
  /** Where machines' large answers are counted; `null` for requests that call no tool. */
  readonly answers: HeldAnswers | null;
};

function authInfoFor(asker: Asker) {
  return { token: "", clientId: asker.caller.client, scopes: [], extra: asker };
}

function handlerFor(env: Env): McpHttpHandler {
  const handler = createMcpHandler(({ authInfo }) => serverFor(env, authInfo?.extra as Asker), {
    maxRequestBodySize: MAX_REQUEST_BYTES,
    onerror: (error) => console.warn("mcp", error.message),
  });
  handlers.set(env, handler);
  return handler;
}

/**
 * Runs a call until it ends, its client cancels it or its caller loses access. Its body counts until then, also when its answer is a stream
 * that has begun before.
 */
function whileHeld(
  { held, client, lease }: Pick<Asker, "held" | "client" | "lease">,
  id: string | number,
  run: (cancelled: AbortSignal) => Promise<ToolOutcome>,
): Promise<ToolOutcome> {
  const call = () => cancellable(client, id, (cancelled) => untilRevoked(lease, run(cancelled)));
  return held === null ? call() : held.during(call);
}

/** The answer of a call, or that its caller has lost access, which ends it. A stream that has begun would otherwise end without an answer. */
function untilRevoked(lease: RequestLease, running: Promise<ToolOutcome>): Promise<ToolOutcome> {
  lease.expectLastMessage();
  const { promise: revoked, resolve } = Promise.withResolvers<ToolOutcome>();
  lease.signal.addEventListener("abort", () => resolve(errorResult(detailsOf(REVOKED))), { once: true });
  return Promise.race([running, revoked]);
}

const REVOKED = {
  code: "forbidden",
  reason:
    "Access was revoked, or the machines that it reaches have changed, while this call was under way. It may have been carried out.",
} as const satisfies OperatorError;

function serverFor(env: Env, { caller, lease, digest, client, held, answers }: Asker): Server {
  const server = new Server(
    { name: "operator", title: "Operator", version: TEMPLATE },
    {
      capabilities: { tools: {}, resources: {}, ...EVENTS_CAPABILITIES },
      instructions: INSTRUCTIONS,
      cacheHints: {
        "tools/list": LIST_CACHE,
        "resources/list": LIST_CACHE,
        "resources/templates/list": LIST_CACHE,
        "resources/read": LIST_CACHE,
        "server/discover": LIST_CACHE,
      },
    },
  );
  server.setRequestHandler("tools/list", () => LIST_RESULT);
  server.setRequestHandler("resources/list", () => RESOURCES);
  server.setRequestHandler("resources/templates/list", () => ({ resourceTemplates: [] }));
  server.setRequestHandler("resources/read", ({ params: { uri } }) => {
    const found = resourceAt(uri);
    if (found === null) throw new ResourceNotFoundError(uri);
    return found;
  });
  server.setRequestHandler("tools/call", ({ params }, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken;
    const { progressToken: _, ...meta } = mcpReq._meta ?? {};
    return whileHeld({ held, client, lease }, mcpReq.id, (cancelled) =>
      runTool({
        env,
        caller,
        digest,
        ...(answers === null ? {} : { held: answers }),
        name: params.name,
        args: params.arguments ?? {},
        ...elicitIn(mcpReq),
        meta: Object.keys(meta).length === 0 ? undefined : meta,
        progress: progressToken !== undefined,
        signal: AbortSignal.any([mcpReq.signal, lease.signal, cancelled]),
        concerns: (machine) => lease.concerns(machine),
        onNotification: async (method, notified) => {
          if (method !== "notifications/progress" || progressToken === undefined) return;
          // The machine's notification, with the progress token that this caller chose.
          await mcpReq.notify({
            method: "notifications/progress",
            params: { ...(notified as { progress: number }), progressToken },
          });
        },
      }),
    );
  });
  serveEvents(server, env, { caller, lease });
  return server;
}

type McpRequest = {
  readonly envelope?: object;
  readonly inputResponses?: Record<string, unknown>;
  readonly requestState: () => unknown;
};

/** How a client of 2026-07-28 can put a form to its person. Such a client says so with each request; an earlier one does not. */
function elicitIn({ envelope, inputResponses = {}, requestState }: McpRequest): { elicit?: Elicit } {
  const capabilities: unknown = isRecord(envelope) ? envelope[CLIENT_CAPABILITIES_META_KEY] : null;
  const canShow = showsForms(capabilities);
  const state = requestState();
  const retry = typeof state === "string" ? { state, responses: inputResponses } : null;
  return canShow || retry !== null ? { elicit: { by: "result", canShow, retry } } : {};
}
