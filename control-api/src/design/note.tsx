import type { Child } from "hono/jsx";

/** A highlighted message above the rest of a page. Errors have the ARIA role `alert`, so that screen readers announce them. */
export function Note({ kind, children }: { readonly kind: "bad" | "warn" | "good"; readonly children?: Child }) {
  return (
    <div class={`note ${kind}`} role={kind === "bad" ? "alert" : undefined}>
      {children}
    </div>
  );
}
