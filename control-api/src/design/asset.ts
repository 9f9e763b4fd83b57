import { createHash } from "node:crypto";
import { ICON } from "./icon.ts";
import { PUSH_SCRIPT } from "./push-script.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/** A year. An asset's address contains the hash of its text, so another text has another address. */
const KEPT_S = 31_536_000;

/** A file that pages load. */
export type Asset = { readonly path: string; readonly text: string; readonly type: string };

function asset(name: string, extension: string, type: string, text: string): Asset {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 10);
  return { path: `/assets/${name}-${hash}.${extension}`, text, type };
}

/** A style sheet or script without what only its readers here need: indentation, and lines that are a comment. It has no string of several lines. */
function lean(text: string): string {
  return text.replaceAll(/^ *(?:\/\/.*\n)?/gm, "");
}

export const STYLE_ASSET = asset("style", "css", "text/css; charset=utf-8", lean(STYLE));
export const SCRIPT_ASSET = asset("script", "js", "text/javascript; charset=utf-8", lean(SCRIPT));
export const PUSH_SCRIPT_ASSET = asset("push", "js", "text/javascript; charset=utf-8", lean(PUSH_SCRIPT));
export const ICON_ASSET = asset("icon", "svg", "image/svg+xml", ICON);

const ASSETS: readonly Asset[] = [STYLE_ASSET, SCRIPT_ASSET, PUSH_SCRIPT_ASSET, ICON_ASSET];

const NAMED = /^\/assets\/([a-z]+)-[0-9a-f]+\.[a-z]+$/;

/**
 * The file at a path, or `null`. During a deployment a page of one version may ask another version for its files: it gets what that
 * version has, which browsers then do not keep.
 */
export function assetAt(pathname: string): Response | null {
  const name = NAMED.exec(pathname)?.[1];
  const found = ASSETS.find(({ path }) => NAMED.exec(path)?.[1] === name);
  if (name === undefined || found === undefined) return null;
  const isCurrent = found.path === pathname;
  return new Response(found.text, {
    headers: {
      "content-type": found.type,
      "cache-control": isCurrent ? `public, max-age=${KEPT_S}, immutable` : "no-store",
      "x-content-type-options": "nosniff",
      "content-security-policy": "default-src 'none'",
      "cross-origin-resource-policy": "same-origin",
    },
  });
}
