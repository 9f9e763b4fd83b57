import type { Child } from "hono/jsx";
import { Ago } from "../../design/ago.tsx";
import { Foreign } from "../../design/foreign.tsx";
import { idIn, type Message, type Part } from "./part.ts";
import { imagePath, isSafeImage } from "./image.ts";
import { Prose } from "./prose.tsx";
import { type Result, ToolCall, ToolResult } from "./tool-call.tsx";

/** How much of each part a page shows, in characters. */
export type Limits = { readonly text: number; readonly tool: number };

/** A page as it is first opened: all that models usually write, and the beginning of what tools put out. */
export const BRIEF: Limits = { text: 16_000, tool: 2_500 };

/** When everything is asked for: what the machine itself sends of a part (16 KB), and four times that of an unlimited one. */
export const FULL: Limits = { text: 64_000, tool: 64_000 };

type ConversationProps = {
  readonly messages: readonly Message[];
  readonly limits: Limits;
  readonly partPath: (handle: string) => string;
};

/** Messages in their order. A tool's result is shown with its call, if both are here. */
export function Conversation({ messages, limits, partPath }: ConversationProps) {
  const calls = new Set<string>();
  const results = new Map<string, Result>();
  for (const { parts } of messages)
    for (const part of parts) {
      if (part.kind === "call" && part.id !== null) calls.add(part.id);
      if (part.kind === "result" && part.of !== null) results.set(part.of, part);
    }
  const isPlaced = (part: Part): boolean => part.kind === "result" && part.of !== null && calls.has(part.of);
  return (
    <>
      {messages.map((message) => {
        const parts = message.parts.filter((part) => !isPlaced(part));
        return parts.length === 0 ? null : (
          <MessageView message={{ ...message, parts }} results={results} limits={limits} partPath={partPath} />
        );
      })}
    </>
  );
}

type MessageProps = Omit<ConversationProps, "messages"> & {
  readonly message: Message;
  readonly results: ReadonlyMap<string, Result>;
};

function MessageView({ message, results, limits, partPath }: MessageProps) {
  const { id, isUser, isAside, atMs, parts, left, isLive } = message;
  const isLater = isLive === true && id !== null && parts.some(comesLater);
  return (
    <article
      class={`said${isUser ? " user" : ""}${isAside ? " aside" : ""}`}
      id={id === null ? undefined : `m-${id}`}
      data-later={isLater ? true : undefined}
    >
      {isUser || isAside ? (
        <span class="who">
          {isAside ? "Aside" : "You"}
          {atMs === null ? null : (
            <>
              {" · "}
              <Ago ms={atMs} />
            </>
          )}
        </span>
      ) : null}
      {parts.map((part) =>
        isLater && comesLater(part) ? (
          <p class="soft">An image, which is shown in a moment</p>
        ) : (
          partView(part, results, limits, partPath)
        ),
      )}
      {left > 0 ? <span class="cut">… and {left} more parts</span> : null}
    </article>
  );
}

/**
 * An image is read from its place in the transcript. A message that has just come has no place there yet, so its image has no handle. The
 * page's script takes the message from the page as it is rendered a little later.
 */
function comesLater(part: Part): boolean {
  return part.kind === "image" && part.handle === null && isSafeImage(part.type);
}

function partView(
  part: Part,
  results: ReadonlyMap<string, Result>,
  limits: Limits,
  partPath: (handle: string) => string,
): Child {
  switch (part.kind) {
    case "text":
      return (
        <>
          <Prose text={part.text} limit={limits.text} />
          {part.handle === null ? null : (
            <p class="cut">
              <a
                href={partPath(part.handle)}
              >{`All of it${part.total === null ? "" : ` (${part.total} characters)`}`}</a>
            </p>
          )}
        </>
      );
    case "thinking":
      return (
        <details class="tool">
          <summary>
            <b>Thinking</b>
          </summary>
          <div>
            <Prose text={part.text} limit={limits.tool} />
          </div>
        </details>
      );
    case "call":
      return (
        <ToolCall
          call={part}
          result={part.id === null ? null : (results.get(part.id) ?? null)}
          limit={limits.tool}
          partPath={partPath}
        />
      );
    case "result":
      return (
        <details class="tool">
          <summary>
            <b>Result</b>
            {part.isError ? <em class="failed">failed</em> : null}
          </summary>
          <div>
            <ToolResult result={part} limit={limits.tool} partPath={partPath} />
          </div>
        </details>
      );
    case "image":
      return <Picture type={part.type} path={part.handle === null ? null : imagePath(partPath(part.handle))} />;
  }
}

type PictureProps = { readonly type: string; readonly path: string | null };

/** An image of a kind that browsers show safely. It is loaded when it comes into view, and opens alone when it is tapped. */
function Picture({ type, path }: PictureProps) {
  if (path !== null && isSafeImage(type))
    return (
      <a href={path}>
        <img class="picture" src={path} loading="lazy" alt="An image in the conversation" />
      </a>
    );
  return (
    <p class="soft">
      An image (<Foreign text={type} limit={60} />
      ), which stays on the machine
    </p>
  );
}

/**
 * In place of a prompt that the agent has just taken: its event has the prompt's id, which is the message's in the transcript, and no text.
 * The page's script takes the message from the page as it is rendered a little later. `null` if the id is none.
 */
export function promptHtml(id: unknown): string | null {
  const known = idIn(id);
  if (known === null) return null;
  const html = (
    <article class="said user" id={`m-${known}`} data-later="prompt">
      <span class="who">You</span>
      <p class="soft">A prompt, which is shown in a moment</p>
    </article>
  );
  return html.toString();
}

/**
 * One message that has just come, as HTML for the page that is open. The result of a tool is marked with its call, into which the page's
 * script puts it.
 */
export function arrivedHtml(message: Message, partPath: (handle: string) => string): string {
  const results = message.parts.filter((part): part is Result => part.kind === "result" && part.of !== null);
  const others = message.parts.filter((part) => part.kind !== "result" || part.of === null);
  const html = (
    <>
      {others.length === 0 ? null : (
        <MessageView
          message={{ ...message, parts: others, isLive: true }}
          results={new Map()}
          limits={BRIEF}
          partPath={partPath}
        />
      )}
      {results.map((result) => (
        <div data-result-of={result.of}>
          <ToolResult result={result} limit={BRIEF.tool} partPath={partPath} />
        </div>
      ))}
    </>
  );
  return html.toString();
}
