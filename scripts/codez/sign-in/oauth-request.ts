import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import { operatorFetch } from "../../trust/operator-fetch.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";

const TIMEOUT_MS = 20_000;

export const Tokens = z.object({
  access_token: z.string(),
  refresh_token: z.string().optional(),
  /** Lifetime of the access token in seconds. */
  expires_in: z.number().optional(),
});
export type Tokens = z.infer<typeof Tokens>;

/** Every other type of token is used in another way, which is not known here (RFC 6749 section 7.1). */
const Bearer = z.object({ token_type: z.string().regex(/^bearer$/i) });

const Refused = z.object({ error: z.string(), error_description: z.string().optional() });
export type Refused = z.infer<typeof Refused>;

/** Posts a form to an OAuth endpoint and returns the JSON. */
export async function postForm(url: string, form: Record<string, string>): Promise<{ status: number; body: unknown }> {
  const response = await operatorFetch(url, {
    method: "POST",
    headers: { accept: "application/json" },
    body: new URLSearchParams(form),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const text = await response.text();
  return { status: response.status, body: parseJson(text) };
}

/** Sends a token request. */
export async function askForTokens(url: string, form: Record<string, string>): Promise<Tokens | Refused> {
  const { status, body } = await postForm(url, form);
  const tokens = Tokens.safeParse(body);
  if (status !== 200 || !tokens.success) return Refused.safeParse(body).data ?? { error: `HTTP ${status}` };
  return Bearer.safeParse(body).success ? tokens.data : { error: "it issued a token of a type that is not Bearer" };
}

/** The failure of a sign-in. The only alternative is a token that was created elsewhere. */
export function failed(server: string, why: string, cause?: unknown): CodezFailure {
  return new CodezFailure(
    ExitCode.NOT_SIGNED_IN,
    `Signing in at ${server} failed: ${why}.`,
    "Try again, or set CODEZ_HUB_TOKEN to a personal access token of that Operator.",
    cause,
  );
}
