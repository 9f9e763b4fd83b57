/**
 * The only script of the pages. It does two things that need one: WebAuthn, and filling in a code from the URL fragment, which
 * browsers do not send to servers and which therefore reaches no log. It then removes the code from the address bar and the
 * history. Everything else works without scripts.
 */
export const SCRIPT = `"use strict";
const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
  .replace(/\\+/g, "-").replace(/\\//g, "_").replace(/=+$/, "");

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

for (const button of document.querySelectorAll("button[data-passkey]")) {
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

const field = document.querySelector("input[data-from-fragment]");
if (field && location.hash.length > 1) {
  field.value = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname + location.search);
}
`;
