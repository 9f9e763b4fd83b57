/**
 * The only script of the pages: plain JavaScript, served without its comments. Every page works without it, except for what needs a script
 * by its nature: passkeys, a code from the URL's fragment (browsers do not send that to servers, so it reaches no log), the clipboard,
 * and bringing a page up to date while it is open.
 *
 * It never makes markup of text. What it inserts is HTML that the server rendered and escaped, through the one policy that the pages'
 * Content-Security-Policy names.
 */
export const SCRIPT = String.raw`"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// --- Passkeys
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

async function ask(path, body) {
  const response = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body), credentials: "same-origin",
  });
  const answer = await response.json();
  if (answer.confirm) location.assign(answer.confirm);
  if (!response.ok) throw new Error(answer.message || "That did not work. Try again.");
  return answer;
}

async function create(options) {
  const made = await navigator.credentials.create({ publicKey: {
    ...options, challenge: bytes(options.challenge), user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: (options.excludeCredentials || []).map((one) => ({ ...one, id: bytes(one.id) })),
  } });
  return { id: made.id, rawId: made.id, type: made.type, clientExtensionResults: made.getClientExtensionResults(),
    response: { clientDataJSON: text(made.response.clientDataJSON), attestationObject: text(made.response.attestationObject) } };
}

async function get(options) {
  const got = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge) } });
  const { authenticatorData, clientDataJSON, signature, userHandle } = got.response;
  return { id: got.id, rawId: got.id, type: got.type, clientExtensionResults: got.getClientExtensionResults(),
    response: { authenticatorData: text(authenticatorData), clientDataJSON: text(clientDataJSON), signature: text(signature),
      ...(userHandle ? { userHandle: text(userHandle) } : {}) } };
}

for (const button of all("button[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  button.closest("[data-needs-script]").hidden = false;
  button.addEventListener("click", async () => {
    const said = button.closest("[data-needs-script]").querySelector("[role=status]");
    const path = button.dataset.passkey;
    const form = button.form ? Object.fromEntries(new FormData(button.form)) : {};
    button.disabled = true;
    said.textContent = "";
    try {
      const options = await ask(path + "/options", form);
      const response = button.dataset.does === "create" ? await create(options) : await get(options);
      const { next } = await ask(path, { ...form, response });
      location.assign(next);
    } catch (error) {
      said.textContent = error.name === "NotAllowedError" ? "The passkey prompt was cancelled or timed out." : error.message;
      button.disabled = false;
    }
  });
}

// --- A code in the link that start printed
const field = document.querySelector("input[data-from-fragment]");
if (field && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  // A link to this page at another address takes the code along, in the same way.
  for (const link of all("a[data-with-code]")) link.hash = location.hash;
  history.replaceState(null, "", location.pathname + location.search);
}

// --- Passwords that can be read, texts that can be copied
for (const button of all("button[data-show]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const input = button.parentElement.querySelector("input");
    const isShown = input.type === "text";
    input.type = isShown ? "password" : "text";
    button.textContent = isShown ? "Show" : "Hide";
    button.setAttribute("aria-pressed", String(!isShown));
  });
}

function offerCopies() {
  // The clipboard exists on https and on localhost alone.
  if (!navigator.clipboard) return;
  for (const button of all("button[data-copy][hidden]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
}
offerCopies();

// --- Times
function ago(passed) {
  if (passed < 60e3) return "just now";
  if (passed < 36e5) return Math.floor(passed / 60e3) + " min ago";
  if (passed < 864e5) return Math.floor(passed / 36e5) + " h ago";
  return Math.floor(passed / 864e5) + " d ago";
}
function tell(root = document) {
  for (const time of all("time[data-ago]", root)) {
    const said = ago(Date.now() - Date.parse(time.dateTime));
    if (time.textContent !== said) time.textContent = said;
  }
}
setInterval(() => tell(), 30e3);

// --- Live
const connection = document.querySelector("[data-connection]");
let lastWordMs = Date.now();
function say(words) {
  if (!connection) return;
  connection.textContent = words;
  connection.hidden = words === "";
}
function lost() {
  const at = new Date(lastWordMs).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  say((navigator.onLine ? "Reconnecting to Operator. " : "You are offline. ") + "This is what was known at " + at + ".");
}

/**
 * An event stream that lives as long as the page is looked at. A hidden page holds no connection; when it is shown again it goes on
 * from the last event that it had.
 */
function follow(path, after, heard) {
  let source = null;
  let cursor = after;
  let again = 0;
  let isOver = false;
  const open = () => {
    clearTimeout(again);
    if (source || document.hidden || isOver) return;
    const url = new URL(path, location.href);
    if (cursor) url.searchParams.set("after", cursor);
    source = new EventSource(url);
    // An answer that was on its way when the connection went is no sign that it is back.
    source.addEventListener("open", () => { lastWordMs = Date.now(); if (navigator.onLine) say(""); });
    source.addEventListener("error", () => {
      lost();
      // After an answer that is no stream a browser gives up: signed out, or Operator is being restarted.
      if (source && source.readyState === EventSource.CLOSED) { close(); again = setTimeout(open, 5e3); }
    });
    // Nothing more will come, and asking again would bring the same answer.
    source.addEventListener("end", (event) => { isOver = true; close(); say(event.data + " This page is no longer kept up to date."); });
    for (const [type, hear] of Object.entries(heard)) source.addEventListener(type, (event) => {
      lastWordMs = Date.now();
      if (event.lastEventId) cursor = event.lastEventId;
      hear(event.data);
    });
  };
  const close = () => { if (source) source.close(); source = null; };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);
  addEventListener("offline", () => { if (!isOver) lost(); });
  addEventListener("online", () => { close(); open(); });
  open();
}

/** A page as the server renders it now. A document that was fetched runs no scripts. */
function fetched(path) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("GET", path);
    request.setRequestHeader("accept", "text/html");
    request.responseType = "document";
    request.timeout = 15e3;
    request.onload = () => (request.status === 200 && request.response ? resolve(request.response) : reject(new Error(String(request.status))));
    request.onerror = request.ontimeout = () => reject(new Error("no answer"));
    request.send();
  });
}

/** Whether somebody is typing in a part of the page, or has chosen something there and not sent it yet. */
const isInUse = (part) => all("input, textarea", part).some((one) =>
  one === document.activeElement || one.value !== one.defaultValue || one.checked !== one.defaultChecked);

// --- Long lists: the next page is put below this one before its end is reached
const addressIn = (row) => row.querySelector("a")?.getAttribute("href");
// The rows below the first page, by address. Each page is a list of its own: a browser lays out a few hundred rows at once in no time,
// and ten thousand in half a second.
const later = new Map();

function addLater(rows, list) {
  list.prepend(...rows);
  for (const row of rows) later.set(addressIn(row), row);
}

/** After the first page of a list that has grown was replaced: rows that it has no longer go on below it, and no row is there twice. */
function rejoin(part, former) {
  const here = new Map(all("[data-list] > li", part).map((row) => [addressIn(row), row]));
  const last = [...here.keys()].at(-1);
  const wasLater = later.has(last);
  for (const address of here.keys()) { later.get(address)?.remove(); later.delete(address); }
  const from = former.findIndex((row) => addressIn(row) === last);
  const moved = from >= 0 ? former.slice(from + 1) : wasLater ? [] : former;
  const next = part.parentElement.querySelector("[data-below]");
  if (next) addLater(moved.filter((row) => !here.has(addressIn(row))), next);
}

const pager = document.querySelector("nav.pages:has([data-more])");
if (pager) {
  const near = new IntersectionObserver(async (seen) => {
    const link = pager.querySelector("[data-more]");
    if (!link || !seen.some((one) => one.isIntersecting)) return;
    near.disconnect();
    const page = await fetched(link.getAttribute("href")).catch(() => null);
    const list = page?.querySelector("[data-list]");
    // Without an answer the link stays, to be tapped.
    if (!list) return;
    const known = new Set(all("[data-list]:not([data-below]) > li").map(addressIn));
    const rows = [...list.children].filter((row) => !known.has(addressIn(row)) && !later.has(addressIn(row)));
    list.replaceChildren();
    list.dataset.below = "true";
    addLater(rows, list);
    pager.before(list);
    pager.parentElement.classList.add("grown");
    tell(list);
    pager.querySelector("[data-range]")?.remove();
    const next = page.querySelector("nav.pages [data-more]");
    if (next) link.replaceWith(next);
    else link.remove();
    near.observe(pager);
  }, { rootMargin: "1200px" });
  near.observe(pager);
}

const isAtEnd = () => innerHeight + scrollY > document.documentElement.scrollHeight - 160;
const toEnd = () => scrollTo(0, document.documentElement.scrollHeight);

// What is under a finger must not be replaced before it is lifted, or the tap is lost or meets something else.
let isPressed = false;
addEventListener("pointerdown", () => { isPressed = true; }, true);
const lifted = () => setTimeout(() => { isPressed = false; });
for (const type of ["pointerup", "pointercancel", "contextmenu"]) addEventListener(type, lifted, true);
// Another window takes the pointer away: then no pointerup comes. Not in the capture phase, or it would be told of each element's focus.
addEventListener("blur", lifted);
const SETTLE_MS = 400;

// --- What came into view a moment ago allows nothing: another page can close its own window under the first click of a double click, so that
// the second meets ours below. As long as most systems' longest double click. The style sheet does it for a page that was just opened.
const DOUBLE_CLICK_MS = 500;
let settled = 0;
function settle() {
  clearTimeout(settled);
  document.documentElement.classList.add("settling");
  settled = setTimeout(() => document.documentElement.classList.remove("settling"), DOUBLE_CLICK_MS);
}
for (const type of ["focus", "pageshow"]) addEventListener(type, settle);
document.addEventListener("visibilitychange", settle);

let isRefreshing = false;
let isStale = false;
/** Brings the live parts of the page up to date, at most once in a second and a half however much happens. */
async function refresh() {
  isStale = true;
  if (isRefreshing) return;
  isRefreshing = true;
  while (isStale) {
    isStale = false;
    try {
      const page = await fetched(location.pathname + location.search);
      // A request appears at the end of its session, and must not appear out of sight.
      const wasAtEnd = talk && isAtEnd();
      for (const part of all("[data-live-part]")) {
        const next = page.getElementById(part.id);
        // What somebody is using or has unfolded stays as it is until the next change.
        if (!next || isInUse(part)) continue;
        if (next.innerHTML === part.innerHTML) continue;
        if (isPressed) { isStale = true; continue; }
        // Focus stays with its own request, and goes to no other one when that is gone.
        const held = document.activeElement?.closest(".ask");
        const root = held && part.contains(held) ? held : part;
        const index = all("a, button, summary", root).indexOf(document.activeElement);
        const open = new Set(all("details[open][id]", part).map((one) => one.id));
        const rows = later.size > 0 ? all("[data-list] > li", part) : [];
        part.replaceChildren(...next.childNodes);
        if (rows.length > 0) rejoin(part, rows);
        for (const one of all("details[id]", part)) if (open.has(one.id)) one.open = true;
        const again = root === part ? part : document.getElementById(root.id);
        if (index >= 0 && again) all("a, button, summary", again)[index]?.focus();
        // A tap that was meant for what stood here a moment ago decides nothing.
        else if (part.querySelector(".ask")) {
          part.inert = true;
          setTimeout(() => { part.inert = false; }, SETTLE_MS);
        }
      }
      if (wasAtEnd) toEnd();
      offerCopies();
      tell();
    } catch { /* the connection's own message says that something is wrong */ }
    await new Promise((resolve) => setTimeout(resolve, 1500));
  }
  isRefreshing = false;
}

const main = document.querySelector("[data-live]");
const talk = document.querySelector("[data-stream]");
if (main && !talk) follow(main.dataset.live, main.dataset.after, { change: refresh, gap: refresh });

if (talk) {
  const policy = window.trustedTypes ? trustedTypes.createPolicy("operator", { createHTML: (html) => html }) : { createHTML: (html) => html };
  const writing = talk.querySelector("[data-writing]");

  // A prompt that was just taken, and an image of a message that has just come, can be read when the machine has written the message
  // down. Then the server renders it, so it is taken from there. The script looks a few times, each time a little later.
  let looksLeft = 0;
  let isLooking = false;
  async function complete() {
    looksLeft = 6;
    if (isLooking) return;
    isLooking = true;
    for (let waitMs = 400; looksLeft > 0 && talk.querySelector("[data-later]"); looksLeft -= 1, waitMs *= 1.6) {
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      const page = await fetched(location.pathname + location.search).catch(() => null);
      for (const one of all("[data-later]", talk)) {
        const next = page?.getElementById(one.id);
        if (!next) continue;
        const wasAtEnd = isAtEnd();
        for (const image of all("img", next)) {
          image.loading = "eager";
          image.addEventListener("load", () => { if (wasAtEnd) toEnd(); });
        }
        one.replaceWith(next);
      }
    }
    isLooking = false;
    // A command that the agent answers by itself is in no transcript.
    for (const one of all("[data-later=prompt]", talk)) one.remove();
  }
  if (!location.hash) toEnd();
  follow(talk.dataset.stream, talk.dataset.after, {
    message(html) {
      const wasAtEnd = isAtEnd();
      const template = document.createElement("template");
      template.innerHTML = policy.createHTML(html);
      for (const one of [...template.content.children]) {
        // A tool's result belongs into the call that it answers.
        const call = one.dataset.resultOf && document.getElementById("call-" + one.dataset.resultOf);
        if (call?.dataset.answered) continue;
        if (call) {
          call.dataset.answered = "true";
          call.append(...one.childNodes);
        } else if (!one.id || !document.getElementById(one.id)) talk.insertBefore(one, writing);
      }
      talk.querySelector(".empty")?.remove();
      if (writing) { writing.hidden = true; writing.textContent = ""; }
      if (wasAtEnd) toEnd();
      if (talk.querySelector("[data-later]")) complete();
    },
    delta(json) {
      if (!writing) return;
      const wasAtEnd = isAtEnd();
      writing.hidden = false;
      writing.textContent = (writing.textContent + JSON.parse(json)).slice(-20000);
      if (wasAtEnd) toEnd();
    },
    state: refresh,
    gap: () => location.reload(),
  });
  if (talk.querySelector("[data-later]")) complete();
}

// --- Photos: made small enough for a model, which also leaves out where they were taken
const LONGEST_SIDE = 1568;
async function shrunk(file) {
  if (!/^image\/(png|jpeg|webp)$/.test(file.type) || file.size < 400e3) return file;
  const image = await createImageBitmap(file);
  const scale = Math.min(1, LONGEST_SIDE / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  const small = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.85));
  return small && small.size < file.size ? new File([small], file.name.replace(/\.\w+$/, "") + ".jpg", { type: "image/jpeg" }) : file;
}
for (const input of all("input[data-shrinks]"))
  input.addEventListener("change", async () => {
    const chosen = input.parentElement.querySelector("[data-chosen]");
    const files = [...input.files];
    chosen.textContent = files.length === 0 ? "Add an image or PDF" : files.length === 1 ? files[0].name : files.length + " files";
    input.parentElement.classList.toggle("has", files.length > 0);
    const buttons = all("button", input.form);
    for (const button of buttons) button.disabled = true;
    try {
      const list = new DataTransfer();
      // A file that this browser cannot read is sent as it is, and Operator says what is wrong with it.
      for (const file of files) list.items.add(await shrunk(file).catch(() => file));
      input.files = list.files;
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  });

// --- Forms
for (const area of all("textarea[data-sends]"))
  area.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) area.form.requestSubmit();
  });
for (const form of all("form[data-once]"))
  form.addEventListener("submit", (event) => {
    // Ctrl+Enter clicks no button.
    if (form.querySelector(":disabled")) event.preventDefault();
    else setTimeout(() => { for (const button of all("button", form)) button.disabled = true; });
  });
addEventListener("pageshow", () => { for (const button of all("form[data-once] button")) button.disabled = false; });
`;
