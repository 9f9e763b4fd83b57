import type { Child } from "hono/jsx";
import { type PageOptions, respond } from "../design/respond.tsx";
import type { Place } from "../design/shell.tsx";
import type { PageContext } from "./page-context.ts";

/** A page behind the sign-in check (signed-in.ts). Its navigation says how many requests wait for the person. */
export async function personPage(
  c: PageContext,
  options: PageOptions & { readonly at: Place },
  body: Child,
): Promise<Response> {
  return respond({ ...options, waiting: await c.var.waiting }, body);
}
