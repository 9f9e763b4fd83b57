import type { Child } from "hono/jsx";

/** A page with one message, and optionally a link. */
export function MessagePage({ title, children }: { readonly title: string; readonly children?: Child }) {
  return (
    <section class="card">
      <h1>{title}</h1>
      {children}
    </section>
  );
}
