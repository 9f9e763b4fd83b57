import type { Child } from "hono/jsx";
import type { DiffLine } from "./diff.ts";

const SIGNS = { same: " ", del: "-", ins: "+" } as const;

/** One line of a diff. Its sign is text, so that it can be read without colours, and is copied with the line. */
export function diffLine(kind: DiffLine["kind"], code: Child): Child {
  const body = (
    <>
      <b>{SIGNS[kind]}</b>
      {code}
    </>
  );
  if (kind === "del") return <del>{body}</del>;
  return kind === "ins" ? <ins>{body}</ins> : <span class="same">{body}</span>;
}
