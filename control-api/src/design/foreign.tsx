import { piecesOf } from "./foreign-text.ts";

/** A name, a title, a path: longer ones are not real. */
const LINE_CHARACTERS = 400;

type ForeignProps = { readonly text: string; readonly limit?: number };

/**
 * Text that a machine, a model or a client chose. `bdi` keeps its direction to itself, so that it cannot turn around what stands beside
 * it; JSX escapes markup; characters that would mislead are shown as escapes (foreign-text.ts).
 */
export function Foreign({ text, limit = LINE_CHARACTERS }: ForeignProps) {
  return (
    <bdi>
      <Pieces text={text} limit={limit} />
    </bdi>
  );
}

/**
 * A name that somebody chose, within a sentence of ours: set off from it, so that a name such as "Claude in? It was checked. Let it" does
 * not become part of what we say.
 */
export function Named({ text }: Pick<ForeignProps, "text">) {
  return (
    <bdi class="named">
      <Pieces text={text} />
    </bdi>
  );
}

/** The same without the isolation, for use inside an element that isolates, such as a block of code. */
export function Pieces({ text, limit = LINE_CHARACTERS }: ForeignProps) {
  const { pieces, cut } = piecesOf(text, limit);
  return (
    <>
      {pieces.map((piece) => (piece.isEscape ? <span class="esc">{piece.text}</span> : piece.text))}
      {cut === 0 ? null : <span class="cut">… and {cut} more characters</span>}
    </>
  );
}
