import { fail } from "./error.ts";

/** Names become folder and host names. These characters are safe in both, also on file systems that ignore case. */
const NAME = /^[a-z0-9_](?:[a-z0-9_-]{0,62})$/;

/** @throws PlatformFailure `name_invalid` */
export function checkName(what: "namespace" | "script", name: string): string {
  return NAME.test(name) ? name : fail({ code: "name_invalid", what, name });
}

export function isName(name: string): boolean {
  return NAME.test(name);
}
