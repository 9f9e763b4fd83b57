import * as z from "zod";
import { readOwnerToken } from "../system/owner-token.ts";

const TIMEOUT_MS = 30_000;

const Failure = z.object({ error: z.object({ code: z.string(), message: z.string() }) });

/** Operator refused a request, in its own words, or could not be reached. */
export class OperatorApiError extends Error {
  override readonly name = "OperatorApiError";
  /** The code of Operator's own error; `null` if it is none. */
  readonly code: string | null;

  constructor(message: string, code: string | null = null, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The control API's REST interface, with its caller's token. */
export class OperatorApi {
  readonly origin: string;
  readonly #token: string;

  /**
   * @param origin Operator's address
   * @param token a personal access token; without one, that of the Operator on this computer
   */
  constructor(origin: string, token = readOwnerToken(origin)) {
    if (token === null)
      throw new OperatorApiError(
        `${origin} needs a token. Create one with \`codez tokens create operator --hub ${origin}\`, and set OPERATOR_TOKEN to it.`,
      );
    this.origin = origin;
    this.#token = token;
  }

  get headers(): { authorization: string } {
    return { authorization: `Bearer ${this.#token}` };
  }

  /** The JSON of an answer. @throws OperatorApiError */
  async ask(
    method: string,
    path: string,
    body?: string | ArrayBuffer,
    type = "application/json",
    timeoutMs = TIMEOUT_MS,
  ): Promise<unknown> {
    const response = await fetch(new URL(path, this.origin), {
      method,
      headers: { ...this.headers, ...(body === undefined ? {} : { "content-type": type }) },
      ...(body === undefined ? {} : { body }),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((reason: unknown) => {
      throw new OperatorApiError(`${this.origin} cannot be reached. Is Operator running there?`, null, {
        cause: reason,
      });
    });
    const text = await response.text();
    if (response.ok) return text === "" ? null : JSON.parse(text);
    const { code = null, message = `${this.origin} answered HTTP ${response.status}` } = failureIn(text) ?? {};
    throw new OperatorApiError(message, code);
  }
}

function failureIn(text: string): z.infer<typeof Failure>["error"] | null {
  try {
    return Failure.parse(JSON.parse(text)).error;
  } catch {
    return null; // not one of Operator's own errors, so it comes from something in front of it
  }
}

/** Where the commands that talk to a running Operator find it. */
export type Where = { url?: string };

/** @param localUrl the address of the Operator on this computer; `null` if none runs */
export async function originOf({ url }: Where, localUrl: () => Promise<string | null>): Promise<string> {
  const origin = url ?? process.env["OPERATOR_URL"] ?? (await localUrl());
  if (!origin) throw new Error("No Operator runs on this computer. Name one with --url, or set OPERATOR_URL.");
  return new URL(origin).origin;
}
