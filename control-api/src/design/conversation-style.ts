/** A session's conversation: messages, tool calls that unfold, code and diffs that a phone can show. */
export const CONVERSATION = `
.talk { display: flex; flex-direction: column; gap: .9rem; margin: 0 0 1rem; }
.said { min-width: 0; overflow: clip; }
.said.user { background: var(--accent-ground); border-radius: 12px; padding: .7rem .9rem; align-self: flex-end; max-width: 92%; }
.said.aside { opacity: .8; border-left: 2px solid var(--line); padding-left: .75rem; }
.said .who { display: block; font-size: var(--small); color: var(--soft); margin-bottom: .2rem; }
.said p { white-space: pre-wrap; margin-bottom: .6rem; } .said p:last-child { margin: 0; }
.said h2 { font-size: var(--body); margin: .75rem 0 .35rem; } .said ul, .said ol { margin: 0 0 .6rem; padding-left: 1.35rem; } .said li { margin: .15rem 0; }
.said p code, .said li code { background: var(--sunk); border: 1px solid var(--line); border-radius: 4px; padding: 0 .25rem; }
.code { margin: 0 0 .6rem; padding: .65rem .8rem; border-radius: 8px; background: var(--sunk); border: 1px solid var(--line); font-size: var(--small); line-height: 1.5; overflow-x: auto; max-height: 30rem; white-space: pre; tab-size: 4; overflow-wrap: normal; unicode-bidi: isolate; }
.code .c { color: var(--soft); } .code .s { color: var(--add); } .code .n { color: var(--warn); } .code .k { color: var(--busy); }
.code.wrap { tab-size: 2; white-space: pre-wrap; overflow-wrap: anywhere; }
.code:last-child { margin-bottom: 0; }
.code del, .code ins, .code .same { display: block; text-decoration: none; color: inherit; } .code del { background: var(--cut-ground); } .code ins { background: var(--add-ground); }
.code b { display: inline-block; width: 1.1rem; margin-left: -1.1rem; font-style: normal; font-weight: 600; text-indent: 0; } .code del b { color: var(--cut); } .code ins b { color: var(--add); }
.code.diff { padding: .3rem 0; max-height: 40rem; } .code.diff del, .code.diff ins, .code.diff .same, .code.diff .hunk { padding: 0 .6rem 0 1.7rem; border-left: 3px solid transparent; }
.code.diff del { border-color: var(--cut); } .code.diff ins { border-color: var(--add); } .code.diff .hunk { padding-left: .6rem; }
.code.diff .hunk { display: block; color: var(--soft); background: var(--hover); margin: .3rem 0; } .added { color: var(--add); } .removed { color: var(--cut); }
.change > summary b { flex: 1; min-width: 0; max-width: none; white-space: normal; overflow-wrap: anywhere; font-weight: 550; font-family: var(--mono); font-size: var(--small); } .tool > summary .counts { display: inline-flex; gap: .5rem; flex: none; overflow: visible; } .tool > summary .counts .added { color: var(--add); } .tool > summary .counts .removed { color: var(--cut); } .counts em { font-style: normal; font-family: var(--sans); color: var(--soft); }
.tool { background: var(--card); border: 1px solid var(--line); border-radius: 10px; font-size: var(--note); overflow: clip; margin: 0 0 .5rem; } .tool:last-child { margin-bottom: 0; }
.tool > summary { display: flex; align-items: baseline; gap: .5rem; padding: .5rem .75rem; list-style: none; min-height: 36px; } .tool > summary::-webkit-details-marker { display: none; }
.tool > summary::before { content: "▸"; color: var(--soft); font-size: .75rem; } .tool[open] > summary::before { content: "▾"; }
.tool > summary:hover { background: var(--hover); } .tool > summary:focus-visible { outline-offset: -2px; }
.tool > summary b { font-weight: 600; max-width: 75%; flex-shrink: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; } .tool > summary .cut { display: inline; } .tool > summary span { font-family: var(--mono); font-size: var(--small); color: var(--soft); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; min-width: 0; }
.tool > summary .failed { color: var(--bad); font-family: var(--sans); margin-left: auto; flex: none; }
.tool > div { padding: 0 .75rem .75rem; } .tool .label { font-size: var(--small); color: var(--soft); margin: .4rem 0 .25rem; }
.esc { font-family: var(--mono); font-size: .85em; background: var(--warn-ground); color: var(--warn); border-radius: 3px; padding: 0 .15em; }
.cut { color: var(--soft); font-size: var(--small); font-style: italic; display: block; white-space: normal; }
.event { font-size: var(--small); color: var(--soft); text-align: center; } .event.bad { color: var(--bad); text-align: left; }
.writing { white-space: pre-wrap; border-left: 2px solid var(--busy); padding-left: .75rem; }
.session { max-width: 48rem; }
#session-bar { position: sticky; top: 0; z-index: 3; margin: -.9rem -1rem .6rem; padding: 0 1rem; background: var(--ground); border-bottom: 1px solid var(--line); } .offline:not([hidden]) ~ * #session-bar { position: static; }
.bar { display: flex; align-items: center; gap: .5rem; min-height: 3rem; } .bar h1 { flex: 1; min-width: 0; margin: 0; font-size: var(--body); font-weight: 600; letter-spacing: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.up { flex: none; width: 2.75rem; margin: 0 -.5rem 0 -1rem; font-size: 1.5rem; line-height: 2.75rem; text-align: center; color: var(--soft); text-decoration: none; } .up:hover { color: var(--ink); } .to { flex: none; text-decoration: none; } #asked { scroll-margin-top: 4rem; }
.composer { position: sticky; bottom: calc(var(--tabs) + env(safe-area-inset-bottom)); background: var(--ground); border-top: 1px solid var(--line); margin: 1rem -1rem -1rem; padding: .6rem 1rem; }
.composer form { display: flex; flex-wrap: wrap; gap: .5rem; align-items: flex-end; } .composer textarea { flex: 1; min-width: 0; min-height: 44px; margin: 0; field-sizing: content; max-height: 40dvh; resize: none; } .composer button { width: auto; flex: none; }
.picture { display: block; max-width: 100%; max-height: 24rem; border-radius: 8px; border: 1px solid var(--line); background: var(--sunk); }
.files { display: flex; align-items: center; gap: .4rem; margin: 0; font-weight: 400; color: var(--soft); cursor: pointer; position: relative; min-height: 44px; min-width: 0; } .files svg { width: 1.25rem; height: 1.25rem; flex: none; } .files span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.files:hover, .files:focus-within { color: var(--ink); } .files:focus-within { outline: 2px solid var(--accent); border-radius: 4px; }
@media (scripting: enabled) { .files input:not([type=radio], [type=checkbox]) { position: absolute; inset: 0; opacity: 0; cursor: pointer; min-height: 0; margin: 0; padding: 0; } .composer .files { justify-content: center; width: 2.25rem; } .composer .files span { display: none; } .composer .files.has { width: 100%; justify-content: flex-start; } .composer .files.has span { display: inline; } }
@media not (scripting: enabled) { .files { flex-wrap: wrap; } .composer .files { flex-basis: 100%; } }
.meta { margin-bottom: .9rem; } .session > .actions { margin-bottom: 1rem; } .session .ask { margin-bottom: .75rem; }
@media (min-width: 52rem) { .composer { bottom: 0; margin: 1.25rem 0 -4rem; padding: .8rem 0 1.1rem; } #session-bar { margin: -1.75rem 0 .75rem; padding: .5rem 0 0; } .up { margin-left: -.9rem; } }
`;
