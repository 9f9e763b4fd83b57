import type { Child } from "hono/jsx";

/** Something to be read before the rest. */
export function Note({ kind, children }: { readonly kind: "bad" | "warn" | "good"; readonly children?: Child }) {
  return (
    <p class={`note ${kind}`} role={kind === "bad" ? "alert" : undefined}>
      {children}
    </p>
  );
}
