import { Pieces } from "../../design/foreign.tsx";
import { type CodeToken, codeTokens } from "./code-token.ts";

/** Code with its comments, strings, numbers and keywords in colours. They are found where the page is rendered, so it needs no script. */
export function Code({ text, language }: { readonly text: string; readonly language: string }) {
  return <Tokens tokens={codeTokens(text, language)} />;
}

/** Code that was read already. */
export function Tokens({ tokens }: { readonly tokens: readonly CodeToken[] }) {
  return (
    <>
      {tokens.map(({ kind, text: piece }) =>
        kind === null ? (
          <Pieces text={piece} limit={piece.length} />
        ) : (
          <span class={kind}>
            <Pieces text={piece} limit={piece.length} />
          </span>
        ),
      )}
    </>
  );
}
