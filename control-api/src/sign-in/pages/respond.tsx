import type { Child } from "hono/jsx";
import type { PageContext } from "../page-context.ts";

export const STYLE_PATH = "/sign-in/style.css";
export const SCRIPT_PATH = "/sign-in/script.js";

type PageOptions = {
  readonly title: string;
  readonly status?: 200 | 400 | 401 | 403 | 404 | 409 | 429;
  /** Where the page's form ends in the end: browsers hold `form-action` against redirects as well. */
  readonly sendsTo?: string;
};

/** A page with everything that protects it: nothing inline, no frames, no caches, no referrer. */
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

/** A CSP source for a redirect address: its origin, or the scheme of an app's own. */
function formTarget(uri: string): string {
  const { protocol, origin } = new URL(uri);
  return protocol === "https:" || protocol === "http:" ? origin : protocol;
}

/** A plug and its two jacks: the switchboard. */
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
