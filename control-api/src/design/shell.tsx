import type { Child } from "hono/jsx";
import { AccountSymbol, ConnectSymbol, MachinesSymbol, Mark, OverviewSymbol, SessionsSymbol } from "./symbols.tsx";

/** The places that the navigation leads to, in its order. */
const PLACES = [
  { at: "overview", path: "/", name: "Overview", Symbol: OverviewSymbol },
  { at: "machines", path: "/machines", name: "Machines", Symbol: MachinesSymbol },
  { at: "sessions", path: "/sessions", name: "Sessions", Symbol: SessionsSymbol },
  { at: "connect", path: "/connect", name: "Connect", Symbol: ConnectSymbol },
  { at: "account", path: "/account", name: "Account", Symbol: AccountSymbol },
] as const;

/** A larger number would not fit beside its symbol on a phone, and says no more. */
const MOST_COUNTED = 99;

export type Place = (typeof PLACES)[number]["at"];

type ShellProps = {
  /** Where in the navigation the page is; `null` for a page that stands alone, such as the sign-in page. */
  readonly at: Place | null;
  /** How many requests wait for the person. */
  readonly waiting: number;
  readonly children?: Child;
};

/** What is around every page. */
export function Shell({ at, waiting, children }: ShellProps) {
  if (at === null)
    return (
      <body class="door">
        <main id="main">
          <Brand />
          {children}
        </main>
      </body>
    );
  return (
    <body class="app">
      <a class="skip" href="#main">
        Skip to the content
      </a>
      <nav class="nav" aria-label="Main">
        <Brand />
        <ul>
          {PLACES.map(({ at: place, path, name, Symbol }) => (
            <li>
              <a href={path} aria-current={place === at ? "page" : undefined}>
                <Symbol />
                <span>{name}</span>
                {place === "overview" ? <Waiting count={waiting} /> : null}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <main id="main">
        <p class="offline" role="status" data-connection hidden></p>
        {children}
      </main>
    </body>
  );
}

/** Says on every page that something waits for the person, and how much. */
function Waiting({ count }: { readonly count: number }) {
  return (
    <span id="waiting" data-live-part>
      {count === 0 ? null : (
        <span class="count">
          {count > MOST_COUNTED ? `${MOST_COUNTED}+` : count}
          <span class="aloud"> waiting for you</span>
        </span>
      )}
    </span>
  );
}

function Brand() {
  return (
    <a class="brand" href="/">
      <Mark />
      Operator
    </a>
  );
}
