import { oauthError } from "./oauth-error.ts";

/** Generous: codes, verifiers and client assertions take a few kilobytes together. */
const MAX_BODY_BYTES = 64 * 1024;

/** A parameter that may occur several times: a token can be asked for at several resources (RFC 8707 section 2). */
const REPEATABLE = "resource";

/** Without those that have no value: they "MUST be treated as if they were omitted" (RFC 6749 section 3.1 and 3.2). */
export function withValues(parameters: URLSearchParams): URLSearchParams {
  return new URLSearchParams([...parameters].filter(([, value]) => value !== ""));
}

/** The name of a parameter that occurs more than once, which none may (RFC 6749 section 3.1 and 3.2), or `undefined`. */
export function repeatedIn(parameters: URLSearchParams, repeatable: string | null = null): string | undefined {
  return [...new Set(parameters.keys())].find((name) => name !== repeatable && parameters.getAll(name).length > 1);
}

/**
 * The parameters of a POST to the token endpoint or the device authorization endpoint, which are a form in the body and nothing else (RFC 6749
 * section 3.2, RFC 8628 section 3.1). Otherwise the answer that says what is wrong.
 */
export async function parametersIn(request: Request): Promise<URLSearchParams | Response> {
  const form = await formOf(request);
  if (form === null) return oauthError("invalid_request", "Send a form of at most 64 KiB.");
  const repeated = repeatedIn(form, REPEATABLE);
  if (repeated !== undefined) return oauthError("invalid_request", `The parameter "${repeated}" is repeated.`);
  return withValues(form);
}

async function formOf(request: Request): Promise<URLSearchParams | null> {
  const isForm = request.headers.get("content-type")?.toLowerCase().startsWith("application/x-www-form-urlencoded");
  const length = Number(request.headers.get("content-length") ?? 0);
  if (isForm !== true || length > MAX_BODY_BYTES) return null;
  const text = new TextDecoder().decode(await request.arrayBuffer()); // workerd logs a warning when text() is called on a form body
  return text.length > MAX_BODY_BYTES ? null : new URLSearchParams(text);
}
