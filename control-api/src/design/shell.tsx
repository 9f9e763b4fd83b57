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

export type Place = (typeof PLACES)[number]["at"];

type ShellProps = {
  /** Where in the navigation the page is; `null` for a page that stands alone, such as the sign-in page. */
  readonly at: Place | null;
  readonly children?: Child;
};

/** What is around every page. */
export function Shell({ at, children }: ShellProps) {
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

function Brand() {
  return (
    <a class="brand" href="/">
      <Mark />
      Operator
    </a>
  );
}
