import { APP_ICON_PATH } from "../design/app-icon.ts";

/** Where the service worker is. It never changes: browsers look here for a newer version. */
export const SERVICE_WORKER_PATH = "/service-worker.js";

/**
 * The service worker: it shows what is pushed, and opens its page when it is tapped. It has no `fetch` handler, so it keeps no page and
 * cannot show an old one, and it decides nothing.
 *
 * A browser may still run an older version than the Operator that sends, or a newer one, so every field has a value of its own where it
 * is missing. A browser that is pushed something and shows nothing loses its permission after a few times.
 */
export const SERVICE_WORKER = String.raw`"use strict";
addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));

function read(data) {
  try {
    const told = data ? data.json() : {};
    return told && typeof told === "object" ? told : {};
  } catch {
    return {};
  }
}

addEventListener("push", (event) => {
  const { title, body, tag, path } = read(event.data);
  event.waitUntil(registration.showNotification(String(title || "Operator has news for you"), {
    body: String(body || ""),
    icon: "${APP_ICON_PATH}",
    ...(tag ? { tag: String(tag), renotify: true } : {}),
    data: { path: String(path || "/") },
  }));
});

// Only a page of this Operator, whatever was pushed.
function addressOf(path) {
  const url = new URL(path, location.origin);
  return url.origin === location.origin ? url.href : location.origin + "/";
}

async function open(url) {
  const windows = await clients.matchAll({ type: "window", includeUncontrolled: true });
  const shown = windows.find((one) => one.url === url);
  return shown ? shown.focus() : clients.openWindow(url);
}

addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(addressOf((event.notification.data && event.notification.data.path) || "/")));
});
`;
