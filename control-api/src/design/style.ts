import { CONVERSATION } from "./conversation-style.ts";
import { TOKENS } from "./tokens.ts";

/** What every element looks like by itself: text, forms, buttons. */
const ELEMENTS = `
*, ::before, ::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding: 4rem 0 5rem; }
body { margin: 0; min-height: 100dvh; background: var(--ground); color: var(--ink); font: var(--body)/1.5 var(--sans); overflow-wrap: anywhere; }
h1 { font-size: 1.375rem; line-height: 1.25; letter-spacing: -.012em; font-weight: 650; margin: 0 0 .75rem; }
h2 { font-size: 1rem; line-height: 1.4; font-weight: 600; margin: 0 0 .5rem; }
p { margin: 0 0 .85rem; } p:last-child { margin-bottom: 0; }
a { color: var(--accent); text-underline-offset: 2px; }
.named { background: var(--sunk); border: 1px solid var(--line); border-radius: 6px; padding: 0 .3em; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
code, pre, .big { font-family: var(--mono); font-size: .92em; }
.big { font-size: 1.15rem; font-weight: 600; }
hr { border: 0; border-top: 1px solid var(--line); margin: 1.1rem 0; }
[hidden] { display: none !important; }
dl { margin: 0; } dt { color: var(--soft); font-size: var(--note); } dd { margin: 0 0 .6rem; font-weight: 500; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
label { display: block; margin: 0 0 .9rem; font-weight: 550; font-size: var(--note); }
label.pick { display: flex; gap: .6rem; align-items: baseline; font-weight: 400; margin-bottom: 1rem; }
input:not([type=radio], [type=checkbox]), select, textarea { display: block; width: 100%; min-height: 44px; margin-top: .3rem; padding: .5rem .75rem;
  font: 400 1rem/1.4 var(--sans); color: inherit; background: var(--card); border: 1px solid var(--edge); border-radius: var(--radius); }
input::placeholder, textarea::placeholder { color: var(--soft); opacity: 1; }
input[aria-invalid=true] { border-color: var(--bad); }
input.code { font-family: var(--mono); letter-spacing: .06em; text-transform: uppercase; }
fieldset { border: 0; margin: 0 0 1rem; padding: 0; min-width: 0; } legend { font-weight: 600; margin-bottom: .6rem; padding: 0; white-space: pre-wrap; }
textarea { resize: vertical; min-height: 5.5rem; }
button, .button { display: flex; align-items: center; justify-content: center; width: 100%; min-height: 44px; padding: .55rem 1rem; border-radius: var(--radius); border: 1px solid transparent;
  background: var(--accent); color: var(--on-accent); font: 600 var(--body)/1.4 var(--sans); text-align: center; text-decoration: none; cursor: pointer; }
button:hover, .button:hover { filter: brightness(1.06); }
button:disabled { opacity: .55; cursor: default; }
button.plain, .button.plain { background: var(--card); color: var(--ink); border-color: var(--edge); }
button.plain:hover, .button.plain:hover { background: var(--hover); filter: none; }
button.danger, .button.danger { background: var(--card); color: var(--bad); border-color: var(--edge); }
button.danger:hover, .button.danger:hover { background: var(--bad-ground); filter: none; }
button.small, .button.small { display: inline-flex; width: auto; min-height: 36px; padding: .3rem .75rem; font-size: var(--note); white-space: nowrap; }
`;

/** The page around its content: a bar at the bottom of a phone, a column at the side of a wide screen. */
const SHELL = `
.skip { position: absolute; left: -99rem; } .skip:focus { left: 1rem; top: 1rem; z-index: 9; background: var(--card); padding: .5rem 1rem; }
.brand { display: flex; align-items: center; gap: .55rem; font-weight: 650; color: var(--ink); text-decoration: none; }
.brand svg { width: 1.375rem; height: 1.375rem; color: var(--accent); }
.door main { max-width: 27rem; margin: 0 auto; padding: 1.25rem 1rem 3rem; }
.door .brand { padding: .25rem .25rem 1.1rem; }
.app main { padding: .9rem 1rem calc(var(--tabs) + 2rem + env(safe-area-inset-bottom)); max-width: 56rem; }
.app .brand { display: none; }
.nav ul { list-style: none; margin: 0; padding: 0; }
.nav { position: fixed; z-index: 5; inset: auto 0 0; background: var(--card); border-top: 1px solid var(--line); padding-bottom: env(safe-area-inset-bottom); }
.nav ul { display: flex; }
.nav li { flex: 1; }
.nav li a { display: flex; flex-direction: column; align-items: center; justify-content: center; gap: .15rem; height: var(--tabs); position: relative;
  color: var(--soft); font-size: .6875rem; font-weight: 550; text-decoration: none; }
.nav svg { width: 1.375rem; height: 1.375rem; }
.nav a[aria-current] { color: var(--accent); }
.nav .count { position: absolute; top: .35rem; left: calc(50% + .4rem); } .aloud { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; white-space: nowrap; }
.count { min-width: 1.15rem; padding: 0 .3rem; border-radius: 1rem; background: var(--warn); color: var(--card); font: 650 .6875rem/1.15rem var(--sans); text-align: center; white-space: nowrap; }
.head { display: flex; align-items: center; gap: .75rem; justify-content: space-between; margin: 0 0 .9rem; min-height: 2.25rem; }
.head h1 { margin: 0; min-width: 0; } .head h1 .soft { white-space: nowrap; letter-spacing: 0; margin-left: .25rem; } .head form { flex: none; } .head .button { flex: none; }
.back { display: inline-block; padding: .1rem 0 .35rem; font-size: var(--note); color: var(--soft); text-decoration: none; } .back:hover { color: var(--ink); }
.offline { position: sticky; top: 0; z-index: 4; margin: -.9rem -1rem .9rem; padding: .45rem 1rem; background: var(--warn-ground); color: var(--warn); font-size: var(--note); font-weight: 550; }
@media (min-width: 52rem) {
  .door main { padding-top: 11vh; }
  .nav { inset: 0 auto 0 0; width: var(--side); border-top: 0; border-right: 1px solid var(--line); padding: 1.1rem .75rem; }
  .app .brand { display: flex; padding: .1rem .6rem 1.1rem; }
  .nav ul { display: block; }
  .nav li a { flex-direction: row; justify-content: flex-start; gap: .65rem; height: 2.25rem; margin-bottom: 1px; padding: 0 .6rem; border-radius: 8px;
    font-size: var(--body); font-weight: 500; color: var(--ink); }
  .nav li a:hover { background: var(--hover); }
  .nav li a[aria-current] { background: var(--accent-ground); color: var(--accent); font-weight: 600; }
  .nav svg { width: 1.125rem; height: 1.125rem; }
  .nav #waiting { margin-left: auto; } .nav .count { position: static; display: block; }
  .app main { margin-left: max(var(--side), calc((100vw + var(--side) - 56rem) / 2)); padding: 1.75rem 2.5rem 4rem; }
  .offline { margin: -1.75rem -2.5rem 1.25rem; padding: .45rem 2.5rem; }
}
`;

/** The parts that pages are made of. */
const COMPONENTS = `
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 1.1rem; margin: 0 0 1rem; }
.soft { color: var(--soft); font-size: var(--note); font-weight: 400; }
.note { border-radius: var(--radius); padding: .7rem .85rem; margin: 0 0 1rem; font-size: var(--note); border: 1px solid transparent; }
.note.bad { background: var(--bad-ground); color: var(--bad); }
.note.warn { background: var(--warn-ground); color: var(--warn); }
.note.good { background: var(--card); border-color: var(--line); }
.row { display: flex; gap: .6rem; } .row > * { flex: 1; }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }
.list { list-style: none; margin: 0; padding: 0; }
.list li { display: flex; gap: .75rem; align-items: center; justify-content: space-between; padding: .65rem 0; border-top: 1px solid var(--line); }
.list li:first-child { border-top: 0; padding-top: 0; } .list li:last-child { padding-bottom: 0; }
.list.card { padding: .35rem 1.1rem; } .list.card li:first-child { padding-top: .65rem; } .list.card li:last-child { padding-bottom: .65rem; }
.list + form, .list + .button, .list + p, dl + form, .card > form + h2, .card > form + .list, .list + h2 { margin-top: 1.1rem; }
.section { margin: 0 0 1.5rem; } .section > h2 { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; margin: 0 .1rem .5rem; }
.section > h2 a { font-size: var(--note); font-weight: 500; text-decoration: none; }
.rows { list-style: none; margin: 0; padding: 0; background: var(--card); border: 1px solid var(--line); border-radius: 12px; overflow: clip; }
.rows > li { border-top: 1px solid var(--line); }
.rows[data-below] { content-visibility: auto; contain-intrinsic-size: auto 380rem; } .grown .rows { border-radius: 0; } .grown .rows[data-below] { border-top: 0; } .rows[data-below] > li:first-child { border-top: 1px solid var(--line); } .rows > li:first-child { border-top: 0; }
.rows > li > a { display: grid; grid-template-columns: auto minmax(0, 1fr) auto; column-gap: .75rem; align-items: baseline; padding: .7rem .9rem; color: inherit; text-decoration: none; min-height: 44px; }
.rows > li > a:hover { background: var(--hover); } .rows > li > a:focus-visible { outline-offset: -2px; }
.rows .name { font-weight: 550; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.rows .more { grid-column: 2 / -1; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.rows .end { color: var(--soft); font-size: var(--small); white-space: nowrap; }
.dot { width: .5rem; height: .5rem; border-radius: 50%; background: var(--edge); display: inline-block; align-self: center; flex: none; }
.dot.good { background: var(--good); } .dot.warn { background: var(--warn); } .dot.bad { background: var(--bad); } .dot.busy { background: var(--busy); }
.dot.quiet { background: var(--edge); } .dot.none { background: transparent; box-shadow: inset 0 0 0 1.5px var(--edge); }
.status { display: inline-flex; align-items: center; gap: .4rem; padding: .1rem .55rem; border-radius: 1rem; background: var(--sunk); color: var(--soft); font-size: var(--small); font-weight: 550; white-space: nowrap; }
.status.good { background: var(--good-ground); color: var(--good); } .status.warn { background: var(--warn-ground); color: var(--warn); }
.status.bad { background: var(--bad-ground); color: var(--bad); } .status.busy { background: var(--busy-ground); color: var(--busy); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); gap: .85rem 1.1rem; } .facts dd { margin: 0; }
.empty { text-align: center; padding: 2.25rem 1.25rem; color: var(--soft); background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.empty h2 { color: var(--ink); } .empty + .section { margin-top: 1.5rem; } .empty .button { display: inline-flex; width: auto; margin-top: .35rem; }
.copy { position: relative; margin: 0 0 .85rem; } .copy:last-child { margin-bottom: 0; }
.copy pre { margin: 0; padding: .7rem .85rem; border-radius: var(--radius); background: var(--sunk); border: 1px solid var(--line); font-size: var(--small); line-height: 1.55; white-space: pre-wrap; }
.copy button { position: absolute; right: .35rem; top: .35rem; min-height: 30px; padding: .1rem .6rem; } .copy:has(button:not([hidden])) pre { padding-right: 4.75rem; }
.qr { display: block; width: min(100%, 13rem); margin: .35rem 0 .85rem; border-radius: var(--radius); border: 1px solid var(--line); } .qr path { fill: #000; } .qr .light { fill: #fff; }
.filters { display: flex; gap: .4rem; margin: 0 -1rem .9rem; padding: 0 1rem; overflow-x: auto; scrollbar-width: none; }
.filters a { flex: none; padding: .3rem .75rem; border-radius: 1rem; border: 1px solid var(--line); background: var(--card); color: var(--ink); font-size: var(--note); font-weight: 500; text-decoration: none; }
.filters a:hover { background: var(--hover); } .filters a[aria-current] { background: var(--ink); color: var(--ground); border-color: var(--ink); }
input[type=checkbox], input[type=radio] { width: 1.1rem; height: 1.1rem; margin: 0; flex: none; accent-color: var(--accent); align-self: flex-start; margin-top: .15rem; }
fieldset > .pick { margin-bottom: .75rem; } fieldset > .pick:last-child { margin-bottom: 0; } fieldset + details { margin-bottom: .9rem; } .row + details { margin-top: .7rem; } .row > label { margin-bottom: .5rem; } fieldset > p.hint:last-child { margin: 0; }
.search { display: flex; gap: .5rem; margin: 0 0 .75rem; } .search input { margin: 0; } .search button { width: auto; flex: none; }
.pages { display: flex; justify-content: space-between; margin: .9rem 0 0; }
.steps { list-style: none; margin: 0; padding: 0; counter-reset: step; } .steps > li { counter-increment: step; padding-left: 2.4rem; position: relative; margin-bottom: 1.5rem; }
.steps > li::before { content: counter(step); position: absolute; left: 0; top: 0; width: 1.6rem; height: 1.6rem; border-radius: 50%; background: var(--accent-ground); color: var(--accent); font: 650 var(--note)/1.6rem var(--sans); text-align: center; }
details > summary { cursor: pointer; } details.plain > summary { font-weight: 550; padding: .5rem 0; }
.ask { border-color: var(--warn); } .ask > .soft { margin-bottom: .7rem; } .ask .of, .ask .when { display: block; } .ask .of { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .ask .code { margin-bottom: .7rem; max-height: none; } .ask .code.diff { max-height: none; } .ask .file { font: 550 var(--small)/1.5 var(--mono); margin-bottom: .35rem; } .fields { margin: 0 0 .7rem; font-size: var(--note); } .fields > div { display: flex; gap: .6rem; } .fields dt { flex: none; } .fields dd { margin: 0; font-weight: 400; min-width: 0; } .exact { direction: ltr; unicode-bidi: isolate-override; white-space: pre-wrap; } .ask textarea { min-height: 44px; } .ask details { margin-bottom: .7rem; } .ask details:last-child { margin-bottom: 0; } .ask form:last-child { margin-bottom: 0; } .ask form + form { margin-top: .6rem; } .ask details summary { font-weight: 400; font-size: var(--note); color: var(--soft); padding: .1rem 0 .3rem; }
.chart { display: block; width: 100%; height: 7.5rem; margin: .85rem 0 .3rem; } .chart rect { fill: var(--accent); } .chart .zero { fill: var(--edge); } .ends { display: flex; justify-content: space-between; } .list .sum { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; } details.plain[open] + .pick { border-top: 1px solid var(--line); padding-top: .9rem; } .card > form + p.soft { margin-top: .9rem; } .after { margin: .9rem 0 0; } .or { display: flex; align-items: center; gap: .75rem; } .passkey .or { margin: 1rem 0; } .or::before, .or::after { content: ""; flex: 1; border-top: 1px solid var(--line); } .passkey p:empty { display: none; } .passkey:has(.or):not([hidden]) ~ button[type=submit] { background: var(--card); color: var(--ink); border-color: var(--edge); } .list .soft a { color: inherit; text-decoration-color: var(--edge); } .row > .danger { background: var(--bad); color: var(--card); border-color: transparent; } .row > .danger:hover { background: var(--bad); filter: brightness(1.06); } .list .receiver { flex-wrap: wrap; } .list + #added { margin-top: .65rem; } .receiver > span { min-width: 0; } .receiver .status { margin: .25rem .15rem 0 0; } .receiver .actions { margin: 0; } .links { display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; }
/* script.ts: "What came into view" */
button[value^=allow] { animation: settle .5s; } @keyframes settle { from, to { pointer-events: none; } } .settling button[value^=allow] { pointer-events: none; }
.two { display: grid; gap: 0 1rem; } .field { position: relative; } p.hint:last-child { margin: -.5rem 0 .9rem; } .field button { position: absolute; right: .3rem; bottom: .3rem; min-height: 36px; border-color: transparent; background: transparent; }
@media (min-width: 52rem) { .filters { margin-inline: 0; padding-inline: 0; } .app .card { padding: 1.25rem 1.35rem; } .app button:not(.small), .app .button:not(.small) { display: inline-flex; width: auto; }
  .narrow { max-width: 44rem; } .ask .row > * { flex: none; min-width: 9rem; } .two { grid-template-columns: 1fr 1fr; } }
@media (prefers-reduced-motion: no-preference) { .dot.busy { animation: pulse 1.6s ease-in-out infinite; } @keyframes pulse { 50% { opacity: .35; } } }
`;

/** The only style sheet of the pages. It is designed for phones first and follows the device's light or dark setting. */
export const STYLE = TOKENS + ELEMENTS + SHELL + COMPONENTS + CONVERSATION;
