import type { Child } from "hono/jsx";
import type { PageContext } from "../page-context.ts";

export const STYLE_PATH = "/sign-in/style.css";
export const SCRIPT_PATH = "/sign-in/script.js";

type PageOptions = {
  readonly title: string;
  readonly status?: 200 | 400 | 401 | 403 | 404 | 409 | 429;
  /** The URL that the form's response redirects to. Browsers apply `form-action` to redirects too, so the policy must allow it. */
  readonly sendsTo?: string;
};

/**
 * Renders a page with its security headers. Without inline scripts and styles, injected markup cannot run code. Without frames, no
 * site can make a person click Allow unawares (clickjacking, RFC 6749 section 10.13). Pages hold CSRF tokens and invitation
 * codes, so they are not cached. They send no referrer, because the consent page's URL holds the client's request.
 */
export function respond(c: PageContext, { title, status = 200, sendsTo }: PageOptions, body: Child): Response {
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "connect-src 'self'",
    `form-action 'self'${sendsTo === undefined ? "" : ` ${formTarget(sendsTo)}`}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; ");
  const html = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="robots" content="noindex" />
        <title>{`${title} - Operator`}</title>
        <link rel="stylesheet" href={STYLE_PATH} />
      </head>
      <body>
        <main>
          <a class="brand" href="/account">
            <Mark />
            Operator
          </a>
          {body}
        </main>
        <script src={SCRIPT_PATH} defer></script>
      </body>
    </html>
  );
  return new Response(`<!doctype html>${html.toString()}`, {
    status,
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": policy,
      "x-frame-options": "DENY",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-store",
    },
  });
}

/** The CSP source for a redirect URI: its origin, or only the scheme for an app's private scheme. */
function formTarget(uri: string): string {
  const { protocol, origin } = new URL(uri);
  return protocol === "https:" || protocol === "http:" ? origin : protocol;
}

/** The logo: a patch cord between two jacks of a telephone switchboard. */
function Mark() {
  return (
    <svg
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="2"
      stroke-linecap="round"
      aria-hidden="true"
    >
      <circle cx="5" cy="6" r="2.5" />
      <circle cx="19" cy="6" r="2.5" />
      <path d="M5 8.5C5 17 19 10 19 20" />
    </svg>
  );
}
