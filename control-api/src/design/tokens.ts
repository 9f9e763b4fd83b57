/**
 * Colour, type and space of every page, as custom properties. Each colour of text has a contrast of at least 4.5 with every ground that
 * it is used on (WCAG 2.2, 1.4.3), in light and in dark; a test measures that.
 */
export const TOKENS = `
:root { color-scheme: light dark;
  --ground: #f7f7f5; --card: #fff; --sunk: #f2f2ef; --hover: #f4f4f1; --ink: #1a1a18; --soft: #63625d; --line: #e3e2dd; --edge: #cfcec8;
  --accent: #0b5c4f; --accent-ground: #e3f1ee; --on-accent: #fff; --good: #17683a; --good-ground: #e3f3e8; --warn: #7d4600;
  --warn-ground: #fdf0d9; --bad: #a3201c; --bad-ground: #fdecea; --busy: #1b55a8; --busy-ground: #e6effb;
  --add: #155f33; --add-ground: #e6f5ea; --cut: #94201b; --cut-ground: #fcebe9;
  --sans: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "Noto Sans Mono", "DejaVu Sans Mono", monospace;
  --small: .8125rem; --note: .875rem; --body: .9375rem; --radius: 10px; --tabs: 3.75rem; --side: 13.5rem; }
@media (prefers-color-scheme: dark) { :root {
  --ground: #101110; --card: #171917; --sunk: #1d1f1d; --hover: #1c1f1c; --ink: #ecece7; --soft: #a09f98; --line: #282b28; --edge: #3c403c;
  --accent: #6fd3bf; --accent-ground: #15302b; --on-accent: #06231e; --good: #79d69b; --good-ground: #14301f; --warn: #f3bb67;
  --warn-ground: #33270f; --bad: #ff9b94; --bad-ground: #3a1b19; --busy: #8fbcff; --busy-ground: #172a45;
  --add: #86dba5; --add-ground: #12291b; --cut: #ff9f99; --cut-ground: #331917; } }
`;
