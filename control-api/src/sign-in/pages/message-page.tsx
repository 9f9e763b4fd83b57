import type { Child } from "hono/jsx";

/** One thing said, and perhaps somewhere to go. */
export function MessagePage({ title, children }: { readonly title: string; readonly children?: Child }) {
  return (
    <section class="card">
      <h1>{title}</h1>
      {children}
    </section>
  );
}
