import { Hono } from "hono";
import { REMOVED_HEADER } from "../dispatch-binding/call.ts";
import { StartFailure } from "../workerd/process.ts";
import type { Directory } from "./directory.ts";
import { PlatformFailure } from "./error.ts";
import { bears } from "./token.ts";

/** Longer than replacing a script takes (a trial run and a start), and well below the 60 s after which MCP clients give up. */
const LOOKUP_TIMEOUT_MS = 15_000;

/**
 * The endpoint that the DISPATCH binding asks for a script's route. `?lost=<startedMs>` names a run to which the binding
 * has just lost its connection, which must not be the answer if it is dead. Responds with the route once the script runs;
 * with 404 if there is no such script, and the time of its removal if known; with 503 and the reason as text if it does
 * not start.
 */
export function routeLookup(directory: Directory, token: string): Hono {
  const app = new Hono();
  app.get("/dispatch/:namespace/:script", async (c) => {
    if (!bears(c.req.header("authorization"), token)) return c.text("Forbidden", 403);
    const lost = c.req.query("lost");
    const { namespace, script: name } = c.req.param();
    const unknown = () => c.text("Worker not found.", 404, removal(directory.removedMs(namespace, name)));
    try {
      const script = directory.find(namespace, name);
      if (!script) return unknown();
      return c.json(await inTime(script.route(lost === undefined ? undefined : Number(lost)), script.name));
    } catch (error) {
      if (error instanceof PlatformFailure && error.error.code === "script_unknown") return unknown();
      if (error instanceof PlatformFailure || error instanceof StartFailure) return c.text(error.message, 503);
      throw error;
    }
  });
  return app;
}

function removal(removedMs: number | null): Record<string, string> {
  return removedMs === null ? {} : { [REMOVED_HEADER]: String(removedMs) };
}

async function inTime<T>(promise: Promise<T>, name: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new StartFailure(`machine script ${name} is still starting`)), LOOKUP_TIMEOUT_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
