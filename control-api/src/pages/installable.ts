import { Hono } from "hono";
import icon from "../design/icon.png";
import { APP_ICON_PATH } from "../design/app-icon.ts";
import type { Env } from "../env.ts";
import { MANIFEST } from "../push/manifest.ts";
import { SERVICE_WORKER, SERVICE_WORKER_PATH } from "../push/service-worker.ts";

/** A day. Browsers keep these addresses, so their files cannot have a hash of their text in their names. */
const KEPT_S = 86_400;

/** What makes Operator a page that can be put on a home screen and shows notifications. Nobody has to be signed in to read it. */
export const installable = new Hono<{ Bindings: Env }>();

installable.get("/manifest.webmanifest", () =>
  file(MANIFEST, "application/manifest+json", `public, max-age=${KEPT_S}`),
);

installable.get(APP_ICON_PATH, () => file(icon, "image/png", `public, max-age=${KEPT_S}`));

// Browsers compare it byte by byte at each visit, and run a new one at once.
installable.get(SERVICE_WORKER_PATH, () => file(SERVICE_WORKER, "text/javascript; charset=utf-8", "no-cache"));

function file(body: BodyInit, type: string, kept: string): Response {
  return new Response(body, {
    headers: {
      "content-type": type,
      "cache-control": kept,
      "x-content-type-options": "nosniff",
      // A service worker has the policy of its own answer: it loads nothing.
      "content-security-policy": "default-src 'none'",
      "cross-origin-resource-policy": "same-origin",
    },
  });
}
