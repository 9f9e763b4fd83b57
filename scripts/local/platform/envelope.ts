import { explainFileFailure } from "../file-failure.ts";
import { describe, PlatformFailure } from "./error.ts";

/** A result in the envelope of Cloudflare's API. */
export function success(result: unknown, status = 200): Response {
  return Response.json({ success: true, errors: [], messages: [], result }, { status });
}

/** A list on one page, as the SDK's SinglePage reads it. */
export function successList(result: readonly unknown[]): Response {
  const count = result.length;
  const result_info = { page: 1, per_page: count, count, total_count: count, total_pages: 1 };
  return Response.json({ success: true, errors: [], messages: [], result, result_info });
}

/**
 * An error in the same envelope. An unexpected one is a 500 with its own message: only the user's own programs can read it,
 * and they need it to find the cause.
 */
export function failure(error: unknown): Response {
  const { status, code, message } =
    error instanceof PlatformFailure
      ? describe(error.error)
      : { status: 500, code: 10013, message: explainFileFailure(error, "the state folder") ?? messageOf(error) };
  return Response.json({ success: false, errors: [{ code, message }], messages: [], result: null }, { status });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
