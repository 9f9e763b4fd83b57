import type { IncomingMessage } from "node:http";
import { ERROR_HEADER } from "#protocol/error.ts";
import * as z from "zod/mini";
import type { Clock } from "./clock.ts";

/** Why a dial led to no WebSocket. */
export type DialFailure =
  /** Operator itself refused the upgrade: the token is not, or no longer, this machine's. */
  | { kind: "refused" }
  /** Anything else, which may be over at the next dial. `reason` is for a person. */
  | { kind: "unreachable"; reason: string };

/** An error of Operator's own is a few hundred bytes of JSON. A proxy's page says nothing that is worth more. */
const MAX_BODY_BYTES = 4 * 1024;

/** The head is there already, so the rest follows at once or says nothing. */
const BODY_TIMEOUT_MS = 2_000;

/** As much of a message as fits the line that a person reads. */
const MESSAGE_CHARACTERS = 200;

const UNAUTHORIZED = "unauthorized";

const Body = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/**
 * What an HTTP answer in place of a WebSocket means. Being refused is final for a connector, so it believes that of
 * Operator alone, in Operator's own words: a captive portal, a proxy that wants a password and a gate that is only half set
 * up answer 401 as well. Every other answer is dialled again, and its reason is shown.
 */
export async function readRefusal(response: IncomingMessage, clock: Clock): Promise<DialFailure> {
  const { statusCode = 0, headers } = response;
  const body = Body.safeParse(parse(await textOf(response, clock)));
  const code = headers[ERROR_HEADER] ?? (body.success ? body.data.error.code : null);
  if (statusCode === 401 && code === UNAUTHORIZED) return { kind: "refused" };
  const words = body.success ? `: ${body.data.error.message.slice(0, MESSAGE_CHARACTERS)}` : "";
  return unreachable(`HTTP ${statusCode} in place of a WebSocket${words}`);
}

export function unreachable(reason: string): DialFailure {
  return { kind: "unreachable", reason };
}

/** The beginning of a body, as much as comes in time. Never rejects. */
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
    response.on("error", done); // cut off: its status is all there is
    response.on("close", done);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // not Operator's own: the caller goes by the status
  }
}
