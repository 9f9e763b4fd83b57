/** The only style sheet of the pages. It is designed for phones first and follows the device's light or dark setting. */
export const STYLE = `
:root { color-scheme: light dark; --ground: #f6f5f2; --card: #fff; --ink: #1d1c1a; --soft: #6b6862; --line: #dcd9d2;
  --accent: #0b5c4f; --on-accent: #fff; --warn: #8a4b00; --warn-ground: #fff4e0; --bad: #a3201c; --bad-ground: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --ground: #141513; --card: #1e201d; --ink: #edece8; --soft: #a5a29b;
  --line: #383a36; --accent: #6fd3bf; --on-accent: #06231e; --warn: #ffc670; --warn-ground: #33270f; --bad: #ff9b94;
  --bad-ground: #3a1b19; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; min-height: 100dvh; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
main { max-width: 30rem; margin: 0 auto; padding: 1rem 1rem 3rem; }
.brand { display: flex; align-items: center; gap: .55rem; padding: .5rem .25rem 1rem; font-weight: 650; color: var(--soft);
  text-decoration: none; }
.brand svg { width: 1.5rem; height: 1.5rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.25rem; margin-bottom: 1rem; }
h1 { font-size: 1.35rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.05rem; margin: 0 0 .5rem; }
p { margin: 0 0 .85rem; } p:last-child { margin-bottom: 0; }
.soft { color: var(--soft); font-size: .92rem; font-weight: 400; }
.note { border-radius: 10px; padding: .7rem .85rem; margin: 0 0 1rem; font-size: .95rem; }
.note.bad { background: var(--bad-ground); color: var(--bad); }
.note.warn { background: var(--warn-ground); color: var(--warn); }
.note.good { border: 1px solid var(--line); }
label { display: block; margin: 0 0 .9rem; font-weight: 550; }
label.pick { display: flex; gap: .6rem; align-items: baseline; font-weight: 400; margin-bottom: 1rem; }
input:not([type=radio], [type=checkbox]) { display: block; width: 100%; min-height: 46px; margin-top: .3rem; padding: .5rem .75rem;
  font: inherit; font-weight: 400; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 10px; }
textarea { display: block; width: 100%; margin-top: .3rem; padding: .5rem .75rem; font: inherit; font-weight: 400; color: inherit;
  background: var(--ground); border: 1px solid var(--line); border-radius: 10px; resize: vertical; }
textarea:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
fieldset { border: 0; margin: 0 0 1rem; padding: 0; } legend { font-weight: 600; margin-bottom: .6rem; padding: 0; white-space: pre-wrap; }
pre.asked { margin: 0 0 1rem; padding: .75rem; background: var(--ground); border: 1px solid var(--line); border-radius: 10px;
  font: .88rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
input.code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; letter-spacing: .06em; text-transform: uppercase; }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
button, .button { display: block; width: 100%; min-height: 46px; padding: .6rem 1rem; border-radius: 10px; border: 1px solid var(--accent);
  background: var(--accent); color: var(--on-accent); font: inherit; font-weight: 600; text-align: center; text-decoration: none;
  cursor: pointer; }
select { display: block; width: 100%; min-height: 46px; margin-top: .3rem; padding: .5rem .75rem; font: inherit; font-weight: 400;
  color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 10px; }
button.plain, .button.plain { background: transparent; color: var(--ink); border-color: var(--line); }
button.small { width: auto; min-height: 40px; padding: .3rem .85rem; font-size: .92rem; white-space: nowrap; }
.row { display: flex; gap: .6rem; } .row > * { flex: 1; }
.list { list-style: none; margin: 0; padding: 0; }
.list li { display: flex; gap: .75rem; align-items: center; justify-content: space-between; padding: .65rem 0;
  border-top: 1px solid var(--line); }
.list li:first-child { border-top: 0; padding-top: 0; }
dl { margin: 0 0 1rem; } dt { color: var(--soft); font-size: .88rem; } dd { margin: 0 0 .55rem; font-weight: 550; }
code, .big { font-family: ui-monospace, "DejaVu Sans Mono", monospace; } .big { font-size: 1.15rem; font-weight: 600; }
hr { border: 0; border-top: 1px solid var(--line); margin: 1.1rem 0; }
a { color: var(--accent); } [hidden] { display: none; }
`;
