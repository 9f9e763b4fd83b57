import { Hono } from "hono";
import { REMOVED_HEADER } from "../dispatch-binding/call.ts";
import { StartFailure } from "../workerd/process.ts";
import type { Directory } from "./directory.ts";
import { PlatformFailure } from "./error.ts";
import { bears } from "./token.ts";

/** Longer than a replacement takes (a trial and a start), shorter than a caller's patience. */
const LOOKUP_TIMEOUT_MS = 15_000;

/**
 * What the DISPATCH binding asks: where is this script (and, `?lost=`, not in the run that I just lost)? Answers once the
 * script runs, with its route; 404 when there is none, with the time of its removal where that is known; 503, with the
 * reason as text, when it does not come up.
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
