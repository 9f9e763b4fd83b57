import type { MachineAddress } from "#protocol/address.ts";
import { errorResponse } from "#protocol/error.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import { isSlug, namesIn } from "#protocol/slug.ts";
import { heldBody, notePassing } from "../audit/passing-call.ts";
import { admit } from "../sign-in/admission.ts";
import { allowOrigin, preflight } from "../http/cross-origin.ts";
import type { Env } from "../env.ts";
import { refuseNavigation } from "../http/harmless.ts";
import { relay } from "./relay.ts";
import { filtered } from "./response-filter.ts";
import { dialIn } from "./link-door.ts";
import { Lease } from "../sign-in/lease.ts";
import { refuse, refuseCall, stepUp } from "../http/refusal.ts";

/**
 * Authenticates a request to a machine's own address and passes it through. The link path is the exception: there the machine's
 * connector calls, and the script checks its link token.
 */
export async function passThrough(
  request: Request,
  url: URL,
  env: Env,
  { slug, path }: MachineAddress,
): Promise<Response> {
  if (path === ScriptPath.LINK) return dialIn(request, url, env, slug);
  if (request.method === "OPTIONS") return preflight(request);
  const refused = refuseNavigation(request);
  if (refused !== null) return refused;
  return allowOrigin(request, await answer(request, url, env, { slug, path }));
}

async function answer(request: Request, url: URL, env: Env, { slug, path }: MachineAddress): Promise<Response> {
  const caller = await admit(request, env, url);
  if ("refused" in caller) return refuseCall(caller, request, url, env);
  if (path !== ScriptPath.MCP) return notThere();
  const { name } = namesIn(slug);
  if (!isSlug(slug) || !(caller.machines?.includes(name) ?? true))
    return errorResponse({ code: "machine_unknown", machine: slug });
  // Operator cannot know which of a machine's own tools only read, so a read-only token gets none of them.
  if (!caller.mayAct) return stepUp(["mcp:tools"], url, env, "A machine's own endpoint needs more than read access.");
  const body = await heldBody(request);
  const destination = { user: caller.user, name, slug, path: path + url.search };
  const response = relay(request, env, destination, body).then((answered) => filtered(answered, name));
  notePassing(env, caller, name, request, body, response);
  const lease = new Lease(request, env, url, caller);
  const answered = await lease.during(response);
  return answered === null ? refuse({ refused: "bad_token" }, url, env) : lease.cover(answered);
}

function notThere(): Response {
  return errorResponse({ code: "not_found", reason: "A machine has only one endpoint: /mcp." });
}
