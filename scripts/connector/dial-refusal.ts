import type { IncomingMessage } from "node:http";
import { ERROR_HEADER } from "#protocol/error.ts";
import * as z from "zod/mini";
import type { Clock } from "./clock.ts";

/** Why a dial did not result in a WebSocket. */
export type DialFailure =
  /** Operator itself refused the upgrade, because the token is not (or no longer) valid for this machine. */
  | { kind: "refused" }
  /** Any other reason. The next dial may succeed. `reason` is for a person. */
  | { kind: "unreachable"; reason: string };

/**
 * How much of an answer is read. Operator's own errors are a few hundred bytes of JSON; a proxy's page need not be read
 * completely.
 */
const MAX_BODY_BYTES = 4 * 1024;

/** How long to wait for the body. The head has arrived, so the body normally follows immediately. */
const BODY_TIMEOUT_MS = 2_000;

/** Length of a message that is shown to a person on one line. */
const MESSAGE_CHARACTERS = 200;

const UNAUTHORIZED = "unauthorized";

const Body = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/**
 * What an HTTP answer to a WebSocket upgrade means. A refusal is final for a connector, so it accepts one only from Operator
 * itself, marked by Operator's error header. Captive portals, proxies that require a password and half-configured gates answer
 * 401 as well. After any other answer the connector dials again, and shows the reason.
 */
export async function readRefusal(response: IncomingMessage, clock: Clock): Promise<DialFailure> {
  const { statusCode = 0, headers } = response;
  const body = Body.safeParse(parse(await textOf(response, clock)));
  const code = headers[ERROR_HEADER] ?? (body.success ? body.data.error.code : null);
  if (statusCode === 401 && code === UNAUTHORIZED) return { kind: "refused" };
  const words = body.success ? `: ${body.data.error.message.slice(0, MESSAGE_CHARACTERS)}` : "";
  return unreachable(`HTTP ${statusCode} instead of a WebSocket${words}`);
}

export function unreachable(reason: string): DialFailure {
  return { kind: "unreachable", reason };
}

/** The beginning of a body, as much of it as arrives in time. Never rejects. */
function textOf(response: IncomingMessage, clock: Clock): Promise<string> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const done = (): void => {
      stopWaiting();
      response.destroy();
      resolve(Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES).toString());
    };
    const stopWaiting = clock.after(BODY_TIMEOUT_MS, done);
    response.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= MAX_BODY_BYTES) done();
    });
    response.on("error", done); // the body broke off, so only the status is known
    response.on("close", done);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not an error of Operator: the caller uses the status
  }
}
