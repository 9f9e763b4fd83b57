import type { Child } from "hono/jsx";

/** `quiet`: nothing happens, and nothing is wrong. `none`: it is not there any more, or not yet. */
export type Tone = "good" | "warn" | "bad" | "busy" | "quiet" | "none";

/** A state in a word. Its colour says nothing that the word does not. */
export function Status({ tone, children }: { readonly tone: Tone; readonly children?: Child }) {
  return (
    <span class={`status ${tone}`}>
      <span class={`dot ${tone}`}></span>
      {children}
    </span>
  );
}

type RowProps = {
  readonly href: string;
  readonly tone: Tone;
  readonly name: Child;
  readonly end?: Child;
  readonly more?: Child;
};

/** One line of a list, which leads somewhere. */
export function Row({ href, tone, name, end, more }: RowProps) {
  return (
    <li>
      <a href={href}>
        <span class={`dot ${tone}`}></span>
        <span class="name">{name}</span>
        <span class="end">{end}</span>
        {more === undefined ? null : <span class="more soft">{more}</span>}
      </a>
    </li>
  );
}

/** In place of a list that has nothing in it: what would be here, and how it gets here. */
export function Empty({ title, children }: { readonly title: string; readonly children?: Child }) {
  return (
    <div class="empty">
      <h2>{title}</h2>
      {children}
    </div>
  );
}

/** Text to take elsewhere. The button works with the script only and is hidden without it; the text can be selected. */
export function Copy({ text, label }: { readonly text: string; readonly label: string }) {
  return (
    <div class="copy">
      <pre tabindex={0}>{text}</pre>
      <button type="button" class="plain small" data-copy aria-label={`Copy ${label}`} hidden>
        Copy
      </button>
    </div>
  );
}

/** A part of the page that is brought up to date while it is open. `id` is unique on the page. */
export function Live({ id, children }: { readonly id: string; readonly children?: Child }) {
  return (
    <div id={id} data-live-part>
      {children}
    </div>
  );
}
