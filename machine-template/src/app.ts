import { errorResponse } from "#protocol/error.ts";
import { OperatorHeader } from "#protocol/header.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import type { Env } from "./env.ts";
import { mayBeLinkToken } from "./link-token.ts";

/** The name of the script's only Durable Object. */
const SINGLE = "machine";

/**
 * The script's entry. It lets in the machine's owner, and the machine itself with its link token. Anybody else is told that the
 * machine does not exist.
 *
 * The token is checked here first and in the Durable Object second (`link/credentials.ts`). A stranger who dials does not wake
 * the object: only a token that this Operator issued does. And an object that fails cannot be mistaken for a refused token,
 * which would stop the connector permanently.
 */
export const app = {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname === ScriptPath.LINK) {
      const isUpgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
      const isKnown = isUpgrade || request.method === "GET";
      const authorization = request.headers.get("authorization");
      if (!isKnown || !(await mayBeLinkToken(authorization, env.LINK_TOKEN_HASH, env.LINK_SECRET, Date.now())))
        // The same bytes with which the dispatch Worker answers for a machine that does not exist.
        return errorResponse({ code: "unauthorized" });
    } else if (request.headers.get(OperatorHeader.CALLER) !== env.OWNER)
      // The name that the stranger asked for, as in the dispatch Worker's answer for a script that does not exist.
      return errorResponse({ code: "machine_unknown", machine: env.SLUG });
    return env.MACHINE.getByName(SINGLE).fetch(request);
  },
};
