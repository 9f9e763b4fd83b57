import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { operatorFetch } from "../trust/operator-fetch.ts";
import { knowsOwnerToken, whyNotTrust } from "../trust/operator-proof.ts";
import { readOwnerToken } from "../system/operators-folder.ts";
import { plainLoopback } from "../system/plain-loopback.ts";

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
   * @param token the caller's
   */
  constructor(origin: string, token: string) {
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
    const response = await operatorFetch(new URL(path, this.origin), {
      method,
      headers: { ...this.headers, ...(body === undefined ? {} : { "content-type": type }) },
      ...(body === undefined ? {} : { body }),
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((reason: unknown) => {
      throw new OperatorApiError(`${this.origin} cannot be reached. Is Operator running there?`, null, {
        cause: reason,
      });
    });
    const text = await response.text().catch((reason: unknown) => {
      throw new OperatorApiError(`${this.origin} broke off: ${String(reason)}`, null, { cause: reason });
    });
    const answer = text === "" ? null : parseJson(text);
    if (response.ok && answer !== undefined) return answer;
    // Another answer is not one of Operator's own errors, and comes from something in front of it.
    const { code = null, message = `${this.origin} answered HTTP ${response.status}` } =
      Failure.safeParse(answer).data?.error ?? {};
    throw new OperatorApiError(message, code);
  }
}

/**
 * The API of the Operator at an address, with the token in OPERATOR_TOKEN; without one, with that of the Operator on this computer, if it is
 * that one which answers there. @throws OperatorApiError
 */
export async function apiAt(origin: string): Promise<OperatorApi> {
  const whyNot = await whyNotTrust(origin);
  if (whyNot !== null) throw new OperatorApiError(`${whyNot}. Is Operator running there?`);
  const given = process.env["OPERATOR_TOKEN"];
  if (given) return new OperatorApi(origin, given);
  const own = readOwnerToken(origin);
  if (own !== null && (await knowsOwnerToken(origin, own))) return new OperatorApi(origin, own);
  throw new OperatorApiError(
    `${origin} needs a token. Create one with \`codez tokens create operator --hub ${origin}\`, and set OPERATOR_TOKEN to it.`,
  );
}

/** Where the commands that talk to a running Operator find it. */
export type Where = { url?: string };

/** @param localUrl the address of the Operator on this computer; `null` if none runs */
export async function originOf({ url }: Where, localUrl: () => Promise<string | null>): Promise<string> {
  const origin = url ?? process.env["OPERATOR_URL"] ?? (await localUrl());
  if (!origin) throw new Error("No Operator runs on this computer. Name one with --url, or set OPERATOR_URL.");
  return plainLoopback(new URL(origin).origin);
}
