import { isRecord } from "#protocol/json.ts";
import { printable, printableJson } from "#protocol/printable.ts";
import { Note } from "../design/note.tsx";
import { inputOf } from "../inbox/asked-input.ts";
import type { InboxItem } from "../inbox/inbox-item.ts";
import { AskedLines, EmptyLines, folded, isEmptyLine } from "./asked-lines.tsx";
import { diffLine } from "./conversation/diff-line.tsx";
import { diffOf } from "./conversation/diff.ts";

/** A field of a request that is longer is shown as JSON. A path or a sentence is shorter. */
const SHORT_CHARACTERS = 200;

/** Lines of a change that are compared. Each is an element of the page; of a larger change both texts are shown instead. */
const MAX_DIFF_LINES = 1_500;

/**
 * What is asked, whole: a command or a plan as its text, a change of a file by line, short fields as a list, everything else as JSON. In
 * JSON a text of several lines is one long line, in which something is easily overlooked. Nothing is left out: with a plan, for example, the
 * other fields are the commands that its approval allows.
 */
export function Asked({ item }: { readonly item: InboxItem }) {
  const { isWhole, kind } = item;
  const input = inputOf(item);
  const { text, rest } = apartIn(input, kind === "plan" ? "plan" : "command");
  const change = text === null ? changeIn(rest) : null;
  const lacksPlan = kind === "plan" && !(isRecord(input) && "cut" in input);
  const left = change === null ? rest : change.rest;
  return (
    <>
      {isWhole ? null : (
        <Note kind="warn">
          {lacksPlan
            ? "The agent has not passed on its plan."
            : "This is not all of it: it is too large to be shown here."}{" "}
          It can be denied here, and allowed only on its machine, with codez permissions.
        </Note>
      )}
      {text === null ? null : (
        <pre class={kind === "plan" ? "code wrap" : "code wrap exact"} tabindex={0}>
          <AskedLines text={text} />
        </pre>
      )}
      {change === null ? null : <Change {...change} />}
      {left === undefined ? null : <Rest rest={left} />}
    </>
  );
}

/** The field that says most, apart from the others. `rest` is `undefined` if there are no others. */
function apartIn(input: unknown, key: "command" | "plan"): { readonly text: string | null; readonly rest: unknown } {
  if (!isRecord(input) || typeof input[key] !== "string") return { text: null, rest: input };
  const { [key]: text, ...rest } = input;
  return { text: String(text), rest: Object.keys(rest).length === 0 ? undefined : rest };
}

type FileChange = { readonly file: string; readonly before: string; readonly after: string; readonly rest: unknown };

/** The change that an agent's tools for files ask for: one passage replaced by another, or a file written. */
function changeIn(input: unknown): FileChange | null {
  if (!isRecord(input)) return null;
  const { file_path: file, old_string: old, new_string: young, content, ...others } = input;
  if (typeof file !== "string") return null;
  const rest = Object.keys(others).length === 0 ? undefined : others;
  if (typeof old === "string" && typeof young === "string" && content === undefined)
    return { file, before: old, after: young, rest };
  if (typeof content === "string" && old === undefined && young === undefined)
    return { file, before: "", after: content, rest };
  return null;
}

function Change({ file, before, after }: FileChange) {
  // All lines, also those that stay as they are: what is decided here is shown whole.
  const lines = diffOf(before, after, Number.POSITIVE_INFINITY);
  return (
    <>
      <p class="file exact">{printable(file)}</p>
      {lines.length > MAX_DIFF_LINES ? (
        <>
          {before === "" ? null : <Passage title="Replaces" text={before} />}
          <Passage title={before === "" ? "Writes" : "By"} text={after} />
        </>
      ) : (
        <pre class="code wrap diff exact" tabindex={0}>
          {folded(lines, ({ kind, text }) => (isEmptyLine(text) ? kind : null)).map((one) =>
            "empty" in one
              ? diffLine(one.kind, <EmptyLines count={one.empty} />)
              : diffLine(one.line.kind, exactLine(one.line.text)),
          )}
        </pre>
      )}
    </>
  );
}

function Passage({ title, text }: { readonly title: string; readonly text: string }) {
  return (
    <>
      <p class="soft">{title}</p>
      <pre class="code wrap exact" tabindex={0}>
        <AskedLines text={text} shown={exactLine} />
      </pre>
    </>
  );
}

/** A line of a file with its tabs, which show as what they are. Everything else that is invisible is written out. */
function exactLine(text: string): string {
  return text.split("\t").map(printable).join("\t");
}

/** What else belongs to a request: short fields as a list, anything else as JSON. */
function Rest({ rest }: { readonly rest: unknown }) {
  const fields = isRecord(rest) ? Object.entries(rest) : null;
  if (fields === null || fields.length === 0 || !fields.every(([, value]) => isShort(value)))
    return (
      <pre class="code wrap exact" tabindex={0}>
        {printableJson(rest, 2)}
      </pre>
    );
  return (
    <dl class="fields">
      {fields.map(([name, value]) => (
        <div>
          <dt class="exact">{printable(name)}</dt>
          <dd class="exact">{printable(String(value))}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Whether a value is read at a glance: one line of text, a number, yes or no. */
function isShort(value: unknown): boolean {
  if (typeof value === "string") return value.length <= SHORT_CHARACTERS && !/[\r\n\u2028\u2029]/.test(value);
  return typeof value === "number" || typeof value === "boolean";
}
