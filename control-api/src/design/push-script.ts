/**
 * The script of the notifications page: it asks the browser for permission, registers the service worker, and tells Operator where to push.
 * Its Trusted Types policy lets through the one address of the service worker.
 */
export const PUSH_SCRIPT = String.raw`"use strict";
(() => {
  const button = document.querySelector("button[data-push]");
  if (!button) return;
  const area = button.closest("[data-needs-script]");
  const said = area.querySelector("[role=status]");
  const { key, push: worker } = button.dataset;
  const cannot = (why) => { said.textContent = why; };
  area.hidden = false;
  if (!("serviceWorker" in navigator && "PushManager" in window && "Notification" in window)) {
    button.hidden = true;
    const isApple = /iPhone|iPad|Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1;
    return cannot(isApple
      ? "Put this page on the Home Screen first (Share, Add to Home Screen), open it from there, and turn notifications on."
      : "This browser has no notifications for pages, or has them only on https and on localhost.");
  }
  const policy = window.trustedTypes
    ? trustedTypes.createPolicy("operator-push", { createScriptURL: () => worker })
    : { createScriptURL: () => worker };
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));

  // A subscription that somebody else made with this browser, or for a key that was replaced, is bound to another key.
  async function subscribe(manager) {
    const options = { userVisibleOnly: true, applicationServerKey: bytes(key) };
    try {
      return await manager.subscribe(options);
    } catch (error) {
      const former = await manager.getSubscription();
      if (error.name !== "InvalidStateError" || !former) throw error;
      await former.unsubscribe();
      return manager.subscribe(options);
    }
  }

  async function turnOn() {
    if ((await Notification.requestPermission()) !== "granted")
      throw new Error("This browser does not allow notifications for this page. Its settings for the page say so, and can be changed.");
    const registration = await navigator.serviceWorker.register(policy.createScriptURL(""), { scope: "/", updateViaCache: "none" });
    await navigator.serviceWorker.ready;
    const { endpoint, keys } = (await subscribe(registration.pushManager)).toJSON();
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    const csrf = button.form.elements.csrf.value;
    const response = await fetch("/notifications/browser", {
      method: "POST", headers: { "content-type": "application/json" }, credentials: "same-origin",
      body: JSON.stringify({ csrf, endpoint, keys, zone }),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(answer.message || "That did not work. Try again.");
    location.assign(answer.next);
  }

  button.addEventListener("click", async () => {
    button.disabled = true;
    said.textContent = "";
    try {
      await turnOn();
    } catch (error) {
      cannot(error.name === "AbortError" ? "The browser's push service could not be reached. Try again later." : error.message);
      button.disabled = false;
    }
  });
})();
`;
