import { isRecord } from "#protocol/json.ts";
import { Foreign } from "../design/foreign.tsx";
import { Note } from "../design/note.tsx";
import { Block } from "./conversation/tool-call.tsx";
import type { MachineAnswer } from "./machine-call.ts";
import { sessionPath } from "./address.ts";

/** Characters of one page of a long part: what `codez serve` sends at a time. */
const PAGE_CHARACTERS = 256 * 1024;

type PartProps = {
  readonly machine: string;
  readonly session: string;
  readonly handle: string;
  readonly answer: MachineAnswer;
};

/** The whole of one part of a message that is too long for the conversation. */
export function PartPage({ machine, session, handle, answer }: PartProps) {
  const path = sessionPath(machine, session);
  const part = "told" in answer && isRecord(answer.told["part"]) ? answer.told["part"] : null;
  const { text, offset, total_chars: total, next_offset: next } = part ?? {};
  return (
    <>
      <a class="back" href={path}>
        ‹ Session
      </a>
      <h1>A long part</h1>
      {part === null || typeof text !== "string" ? (
        <Note kind="warn">
          {"failed" in answer ? (
            <Foreign text={answer.failed.message} limit={500} />
          ) : (
            "The machine did not send this part."
          )}
        </Note>
      ) : (
        <>
          {typeof total === "number" && typeof offset === "number" ? (
            <p class="soft">{`Characters ${offset + 1} to ${offset + text.length} of ${total}`}</p>
          ) : null}
          <Block text={text} limit={PAGE_CHARACTERS} />
          {typeof next === "number" && Number.isSafeInteger(next) ? (
            <a
              class="button plain small"
              href={`${path}/part?${new URLSearchParams({ handle, offset: String(next) })}`}
            >
              Go on
            </a>
          ) : null}
        </>
      )}
    </>
  );
}
