import type { Child } from "hono/jsx";
import { APP_ICON_PATH } from "./app-icon.ts";
import { type Asset, ICON_ASSET, SCRIPT_ASSET, STYLE_ASSET } from "./asset.ts";
import { type Place, Shell } from "./shell.tsx";

export type PageOptions = {
  readonly title: string;
  readonly status?: 200 | 400 | 401 | 403 | 404 | 409 | 429 | 500 | 502 | 503;
  /** Where in the navigation the page is. Without it the page stands alone. */
  readonly at?: Place;
  /** How many requests wait for the person, as the navigation says. */
  readonly waiting?: number;
  /** A script besides the one of all pages, with a Trusted Types policy of its name. */
  readonly script?: Asset & { readonly policy: string };
  /** The URL that the form's response redirects to. Browsers apply `form-action` to redirects too, so the policy must allow it. */
  readonly sendsTo?: string;
};

/**
 * Renders a page with its security headers. Without inline scripts and styles, injected markup cannot run code; with Trusted Types,
 * neither can text that our own script inserts, except through its one named policy (script.ts). Without frames, no site can make a
 * person click Allow unawares (clickjacking, RFC 6749 section 10.13). Pages hold CSRF tokens and invitation codes, so they are not
 * cached. They send no referrer, because the consent page's URL holds the client's request.
 */
export function respond({ title, status = 200, at, waiting = 0, sendsTo, script }: PageOptions, body: Child): Response {
  const policy = [
    "default-src 'none'",
    "style-src 'self'",
    "script-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "worker-src 'self'",
    `form-action 'self'${sendsTo === undefined ? "" : ` ${formTarget(sendsTo)}`}`,
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "require-trusted-types-for 'script'",
    `trusted-types operator${script === undefined ? "" : ` ${script.policy}`}`,
  ].join("; ");
  const html = (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover" />
        <meta name="robots" content="noindex" />
        <meta name="theme-color" content="#f7f7f5" media="(prefers-color-scheme: light)" />
        <meta name="theme-color" content="#101110" media="(prefers-color-scheme: dark)" />
        <title>{`${title} - Operator`}</title>
        <link rel="icon" href={ICON_ASSET.path} type="image/svg+xml" />
        <link rel="manifest" href="/manifest.webmanifest" />
        <link rel="apple-touch-icon" href={APP_ICON_PATH} />
        <link rel="stylesheet" href={STYLE_ASSET.path} />
        <script src={SCRIPT_ASSET.path} defer></script>
        {script === undefined ? null : <script src={script.path} defer></script>}
      </head>
      <Shell at={at ?? null} waiting={waiting}>
        {body}
      </Shell>
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
      // A page that opened ours must not be able to replace it later by one that looks like it. Pages on the way to an app are
      // left out: some apps open them as a small window, and hear from it when it is back at theirs.
      ...(at === undefined ? {} : { "cross-origin-opener-policy": "same-origin" }),
      "cache-control": "no-store",
      // Whether a page or JSON is answered depends on it (page-wanted.ts).
      vary: "accept",
    },
  });
}

/** The CSP source for a redirect URI: its origin, or only the scheme for an app's private scheme. */
function formTarget(uri: string): string {
  const { protocol, origin } = new URL(uri);
  return protocol === "https:" || protocol === "http:" ? origin : protocol;
}
