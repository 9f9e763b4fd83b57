import { Hono } from "hono";
import { builtInOnly, perAddress } from "../sign-in/browser-gate.ts";
import type { PageApp } from "../sign-in/page-context.ts";
import { signedIn } from "../sign-in/signed-in.ts";
import { audit } from "./audit.tsx";
import { connect } from "./connect.tsx";
import { costs } from "./costs.tsx";
import { inbox } from "./inbox.tsx";
import { live } from "./live.ts";
import { machines } from "./machines.tsx";
import { notifications } from "./notifications.tsx";
import { overview } from "./overview.tsx";
import { retention } from "./retention.tsx";
import { sessions } from "./sessions.tsx";

/** The person's own pages: what their machines do, and what they can do about it. Everybody sees only what is theirs. */
export const pages = new Hono<PageApp>();

for (const path of [
  "/audit",
  "/costs",
  "/inbox/*",
  "/machines/*",
  "/sessions/*",
  "/connect",
  "/live",
  "/notifications/*",
  "/retention",
])
  pages.use(path, perAddress, builtInOnly, signedIn);

pages.route("/", overview);
pages.route("/inbox", inbox);
pages.route("/machines", machines);
pages.route("/sessions", sessions);
pages.route("/connect", connect);
pages.route("/audit", audit);
pages.route("/costs", costs);
pages.route("/live", live);
pages.route("/notifications", notifications);
pages.route("/retention", retention);
