import { errorResponse } from "#protocol/error.ts";
import { OperatorHeader } from "#protocol/header.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import type { Env } from "./env.ts";

/** The Durable Object's name: a script has just one. */
const SINGLE = "machine";

/** The script's door: its owner, or the machine itself with its link token. To anybody else the machine does not exist. */
export const app = {
  fetch(request: Request, env: Env): Response | Promise<Response> {
    const isLink = new URL(request.url).pathname === ScriptPath.LINK;
    // By the name that a stranger asked for, as the dispatch Worker says it of a script that is not there.
    if (!isLink && request.headers.get(OperatorHeader.CALLER) !== env.OWNER)
      return errorResponse({ code: "machine_unknown", machine: env.SLUG });
    return env.MACHINE.getByName(SINGLE).fetch(request);
  },
};
