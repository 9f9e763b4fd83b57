import type { MachineAddress } from "#protocol/address.ts";
import { errorResponse, OperatorFailure } from "#protocol/error.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import { isSlug, namesIn, slugOf } from "#protocol/slug.ts";
import { failureResponse } from "#protocol/stand-in.ts";
import { heldBody, notePassing } from "../audit/passing-call.ts";
import { senderOf } from "../sign-in/address.ts";
import { admit } from "../sign-in/admission.ts";
import { admitBatch, messagesIn } from "../sign-in/batch.ts";
import { allowOrigin, preflight } from "../http/cross-origin.ts";
import type { Env } from "../env.ts";
import { refuseNavigation } from "../http/harmless.ts";
import { refuseForeignHost } from "../http/host.ts";
import { missingBody } from "../http/large-calls.ts";
import { withoutStrayBody } from "../http/without-stray-body.ts";
import { relay, type Relayed, whole } from "./relay.ts";
import { filtered } from "./response-filter.ts";
import { encodingRefusal } from "./text-encoding.ts";
import { checkApproval, mayAnswerPermission, watched } from "./approval.ts";
import { dialIn } from "./link-door.ts";
import { type Caller, tagOf } from "../http/caller.ts";
import { Lease } from "../sign-in/lease.ts";
import { refuse, refuseCall, refuseRead, stepUp } from "../http/refusal.ts";

/**
 * Authenticates a request to a machine's own address and passes it through. The link path is the exception: there the machine's
 * connector calls, and the script checks its link token.
 */
export async function passThrough(
  sent: Request,
  url: URL,
  env: Env,
  { slug, path }: MachineAddress,
): Promise<Response> {
  const request = withoutStrayBody(sent);
  if (path === ScriptPath.LINK) return dialIn(request, url, env, slug);
  if (request.method === "OPTIONS") return preflight(request);
  const refused = refuseNavigation(request);
  if (refused !== null) return refused;
  return allowOrigin(request, await answer(request, url, env, { slug, path }));
}

async function answer(request: Request, url: URL, env: Env, { slug, path }: MachineAddress): Promise<Response> {
  const caller = await admit(request, env, url);
  if ("refused" in caller) return refuseCall(caller, request, senderOf(request, env), url, env);
  if (path !== ScriptPath.MCP) return notThere();
  // A machine's address by path is on Operator's own host. A stranger is told nothing but that it is one, at whatever host.
  const foreign = refuseForeignHost(url.hostname, env);
  if (foreign !== null) return foreign;
  const { name } = namesIn(slug);
  // A script compares the caller with its owner as well. But that of a hosted server runs beside code of its author, who could have it let
  // others in, and another person's script need not be started to refuse.
  const isTheirs = isSlug(slug) && slug === slugOf(name, await tagOf(caller.user));
  if (!isTheirs || !(caller.machines?.includes(name) ?? true))
    return errorResponse({ code: "machine_unknown", machine: slug });
  // Operator cannot know which of a machine's own tools only read, so a read-only token gets none of them.
  if (!caller.mayAct) return stepUp(["mcp:tools"], url, env, "A machine's own endpoint needs more than read access.");
  const encoding = encodingRefusal(request.headers);
  if (encoding !== null) return errorResponse(encoding);
  const lease = Lease.of(request, env, url, caller);
  if ("refused" in lease) return refuseCall(lease, request, senderOf(request, env), url, env);
  lease.concerns(name);
  const answered = await lease.during(passed(request, url, env, caller, { slug, name, path }, lease));
  if (answered === null) return refuse({ refused: "bad_token" }, url, env);
  if (!answered.isWhole) return lease.coverBody(answered.response);
  lease.end();
  return answered.response;
}

/** The machine's answer to a request that may pass, or the refusal of its body. */
async function passed(
  request: Request,
  url: URL,
  env: Env,
  caller: Caller,
  { slug, name, path }: MachineAddress & { readonly name: string },
  lease: Lease,
): Promise<Relayed> {
  const beganMs = Date.now();
  const held = await heldBody(request, caller);
  if (held !== null && "missing" in held) return whole(failureResponse(missingBody(held), null));
  if (!(await lease.holdsAfterBody(beganMs))) {
    held?.[Symbol.dispose]();
    return whole(refuse({ refused: "bad_token" }, url, env));
  }
  const body = held?.bytes ?? null;
  const beyond = body === null ? null : await admitBatch(request, env, url, messagesIn(body));
  if (beyond !== null) {
    held?.[Symbol.dispose]();
    return whole(refuseRead(beyond, body, url, env));
  }
  const check = () => checkApproval(env, caller.user, name);
  const refusal = body !== null && mayAnswerPermission(body) ? await failureOf(check) : null;
  const guarded = body === null ? watched(request, check) : { request, refusal: () => refusal };
  const destination = { user: caller.user, name, slug, path: path + url.search };
  // A caller who loses access is answered at once, and the call must not go on at the machine.
  const signal = AbortSignal.any([guarded.request.signal, lease.signal]);
  const relayed = refusal === null ? relay(guarded.request, env, destination, body, signal) : null;
  const passing = Promise.resolve(relayed).then((answered): Relayed => {
    const refused = guarded.refusal();
    if (answered !== null && refused === null)
      return { isWhole: answered.isWhole, response: filtered(answered.response, name, answered.body) };
    // The machine got only a part of the request, so its answer says nothing.
    if (answered?.body === undefined) void answered?.response.body?.cancel().catch(() => undefined);
    if (refused instanceof OperatorFailure) return whole(failureResponse(refused.error, body));
    throw refused;
  });
  // Then what is left to be said at the end of a stream is known, and the body is not needed any more (closing-word.ts).
  void passing.catch(() => undefined).finally(() => held?.[Symbol.dispose]());
  const begun = passing.then(({ response }) => response);
  notePassing(env, caller, name, request, body, begun);
  return passing;
}

/** What `check` throws; `null` if it passes. */
async function failureOf(check: () => Promise<void>): Promise<unknown> {
  try {
    await check();
    return null;
  } catch (reason) {
    return reason;
  }
}

function notThere(): Response {
  return errorResponse({ code: "not_found", reason: "A machine has only one endpoint: /mcp." });
}
