import type { Child } from "hono/jsx";
import { isRecord } from "#protocol/json.ts";
import { Foreign, Pieces } from "../../design/foreign.tsx";
import { plainOf } from "../../design/foreign-text.ts";
import { Tokens } from "./code.tsx";
import { diffCode, languageOf } from "./diff-code.ts";
import { diffLine } from "./diff-line.tsx";
import { diffOf } from "./diff.ts";
import { jsonText } from "./json-text.ts";
import type { Part } from "./part.ts";

type Call = Extract<Part, { kind: "call" }>;
export type Result = Extract<Part, { kind: "result" }>;

/** What a line may have of a command or a path, before it is unfolded. */
const SUMMARY_CHARACTERS = 160;

/** Lines of a diff. A longer one is read on the machine. */
const MAX_DIFF_LINES = 600;

type CallProps = {
  readonly call: Call;
  readonly result: Result | null;
  /** Characters of the input, and of the result, that are shown. */
  readonly limit: number;
  readonly partPath: (handle: string) => string;
};

/** A use of a tool, folded. Inside: what it was given, and what came of it. */
export function ToolCall({ call, result, limit, partPath }: CallProps) {
  const { tool, input, id } = call;
  return (
    <details class="tool" id={id === null ? undefined : `tool-${id}`}>
      <summary>
        <b>
          <Foreign text={tool} limit={60} />
        </b>
        <span>{plainOf(summaryOf(input), SUMMARY_CHARACTERS)}</span>
        {result?.isError === true ? <em class="failed">failed</em> : null}
      </summary>
      <div id={id === null ? undefined : `call-${id}`} data-answered={result === null ? undefined : true}>
        <Input input={input} limit={limit} />
        {result === null ? null : <ToolResult result={result} limit={limit} partPath={partPath} />}
      </div>
    </details>
  );
}

type ResultProps = { readonly result: Result; readonly limit: number; readonly partPath: (handle: string) => string };

export function ToolResult({ result: { text, isError, handle, total }, limit, partPath }: ResultProps) {
  if (text === "") return <p class="label">{isError ? "It failed without a word." : "Done, without output."}</p>;
  const isShort = text.length > limit || total !== null;
  return (
    <>
      <p class="label">{isError ? "Error" : "Result"}</p>
      <Block text={text} limit={limit} />
      {isShort && handle !== null ? (
        <p class="label">
          <a href={partPath(handle)}>{`All of it${total === null ? "" : ` (${total} characters)`}`}</a>
        </p>
      ) : null}
    </>
  );
}

/** A block of text as it is: code, output, JSON. */
export function Block({ text, limit }: { readonly text: string; readonly limit: number }) {
  return (
    <pre class="code wrap" tabindex={0}>
      <Pieces text={text} limit={limit} />
    </pre>
  );
}

/** What of an input says most in one line: the command, the file, the question. */
function summaryOf(input: unknown): string {
  if (typeof input === "string") return input;
  if (!isRecord(input)) return "";
  for (const key of ["command", "file_path", "path", "pattern", "query", "url", "description", "prompt"])
    if (typeof input[key] === "string") return input[key];
  return "";
}

function Input({ input, limit }: { readonly input: unknown; readonly limit: number }): Child {
  if (!isRecord(input))
    return <Block text={typeof input === "string" ? input : jsonText(input, limit)} limit={limit} />;
  const { command, description, old_string: old, new_string: young, content, file_path: file } = input;
  if (typeof command === "string")
    return (
      <>
        {typeof description === "string" ? (
          <p class="label">
            <Foreign text={description} />
          </p>
        ) : null}
        <Block text={command} limit={limit} />
      </>
    );
  if (typeof old === "string" && typeof young === "string")
    return <Diff file={file} before={old} after={young} limit={limit} />;
  if (typeof content === "string" && typeof file === "string")
    return <Diff file={file} before="" after={content} limit={limit} />;
  return <Block text={jsonText(input, limit)} limit={limit + 100} />;
}

type DiffProps = { readonly file: unknown; readonly before: string; readonly after: string; readonly limit: number };

function Diff({ file, before, after, limit }: DiffProps) {
  const lines = diffOf(before.slice(0, limit), after.slice(0, limit));
  const code = diffCode(lines.slice(0, MAX_DIFF_LINES), typeof file === "string" ? languageOf(file) : "");
  const cut = Math.max(0, before.length - limit) + Math.max(0, after.length - limit);
  return (
    <>
      {typeof file === "string" ? (
        <p class="label">
          <Foreign text={file} />
        </p>
      ) : null}
      <pre class="code wrap diff" tabindex={0}>
        {lines.slice(0, MAX_DIFF_LINES).map(({ kind }, index) => diffLine(kind, <Tokens tokens={code[index] ?? []} />))}
      </pre>
      {cut > 0 || lines.length > MAX_DIFF_LINES ? (
        <p class="cut">{`… cut: ${Math.max(0, lines.length - MAX_DIFF_LINES)} more lines, ${cut} more characters`}</p>
      ) : null}
    </>
  );
}
