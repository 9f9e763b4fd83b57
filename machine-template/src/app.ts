import { errorResponse } from "#protocol/error.ts";
import { OperatorHeader } from "#protocol/header.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import type { Env } from "./env.ts";
import { isLinkToken } from "./link-token.ts";

/** The Durable Object's name: a script has just one. */
const SINGLE = "machine";

/**
 * The script's door: its owner, or the machine itself with its link token. To anybody else the machine does not exist.
 *
 * The token is compared here and not in the Durable Object, for two reasons: a stranger who dials does not wake the
 * object, and an object that fails can no longer be mistaken for a refused token, which would end the connector for good.
 */
export const app = {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (new URL(request.url).pathname === ScriptPath.LINK) {
      const isUpgrade = request.headers.get("upgrade")?.toLowerCase() === "websocket";
      if (!isUpgrade || !(await isLinkToken(request.headers.get("authorization"), env.LINK_TOKEN_HASH)))
        // The same bytes as the dispatch Worker answers for a machine that does not exist.
        return errorResponse({ code: "unauthorized" });
    } else if (request.headers.get(OperatorHeader.CALLER) !== env.OWNER)
      // The name that a stranger asked for, as the dispatch Worker says it of a script that does not exist.
      return errorResponse({ code: "machine_unknown", machine: env.SLUG });
    return env.MACHINE.getByName(SINGLE).fetch(request);
  },
};
