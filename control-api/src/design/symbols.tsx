import type { Child } from "hono/jsx";

/** A drawing in the colour of the text around it. What it stands for is said in words beside it. */
function Symbol({ children }: { readonly children?: Child }) {
  return (
    <svg
      viewBox="0 0 24 24"
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export function ClipSymbol() {
  return (
    <Symbol>
      <path d="M20 11.5 12 19.5a5 5 0 0 1-7-7l8.5-8.5a3.4 3.4 0 0 1 4.8 4.8l-8.4 8.4a1.7 1.7 0 0 1-2.4-2.4l7.7-7.7" />
    </Symbol>
  );
}

/** The logo: a patch cord between two jacks of a telephone switchboard. */
export function Mark() {
  return (
    <Symbol>
      <circle cx="5" cy="6" r="2.5" />
      <circle cx="19" cy="6" r="2.5" />
      <path d="M5 8.5C5 17 19 10 19 20" />
    </Symbol>
  );
}

export function OverviewSymbol() {
  return (
    <Symbol>
      <path d="M4 11.5 12 5l8 6.5V19a1 1 0 0 1-1 1h-4.5v-5h-5v5H5a1 1 0 0 1-1-1z" />
    </Symbol>
  );
}

export function MachinesSymbol() {
  return (
    <Symbol>
      <rect x="3.5" y="5" width="17" height="11" rx="1.5" />
      <path d="M9 20h6M12 16v4" />
    </Symbol>
  );
}

export function SessionsSymbol() {
  return (
    <Symbol>
      <path d="M5 5h14a1.5 1.5 0 0 1 1.5 1.5v8A1.5 1.5 0 0 1 19 16h-7l-4.5 4v-4H5a1.5 1.5 0 0 1-1.5-1.5v-8A1.5 1.5 0 0 1 5 5z" />
      <path d="M8 10.5h8" />
    </Symbol>
  );
}

export function ConnectSymbol() {
  return (
    <Symbol>
      <path d="M9 7V3.5M15 7V3.5M6.5 7h11v4a5.5 5.5 0 0 1-11 0zM12 16.5v4" />
    </Symbol>
  );
}

export function AccountSymbol() {
  return (
    <Symbol>
      <circle cx="12" cy="8.5" r="4" />
      <path d="M4.5 20.5c1-4 4-5.5 7.5-5.5s6.5 1.5 7.5 5.5" />
    </Symbol>
  );
}
