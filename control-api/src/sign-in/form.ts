import type { PageContext } from "./page-context.ts";

/**
 * The fields of a form that was sent. A body that is not a form has none: the runtime throws for it, and each route already says
 * what is missing in an empty form.
 */
export function formIn(c: PageContext): Promise<FormData> {
  return c.req.formData().catch(() => new FormData());
}
