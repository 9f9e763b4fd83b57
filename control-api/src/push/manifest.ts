import { APP_ICON_PATH } from "../design/app-icon.ts";

/**
 * The web app manifest, with which browsers offer to put Operator on a phone's home screen. On an iPhone, notifications exist only for
 * pages that were put there. One opaque icon serves for all sizes and shapes: its picture is within the safe zone of maskable icons.
 */
export const MANIFEST = JSON.stringify({
  id: "/",
  name: "Operator",
  short_name: "Operator",
  description: "Your machines, their sessions, and what waits for you",
  start_url: "/",
  scope: "/",
  display: "standalone",
  background_color: "#f7f7f5",
  theme_color: "#0b5c4f",
  icons: ["any", "maskable"].map((purpose) => ({ src: APP_ICON_PATH, sizes: "512x512", type: "image/png", purpose })),
});
