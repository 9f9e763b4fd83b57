import { Hono } from "hono";
import type { PageApp } from "../sign-in/page-context.ts";
import { streamEvents } from "./event-stream.ts";

/**
 * `GET /live`: tells an open page that something happened on a machine, so that it fetches itself again. It does not say what: the page
 * is rendered in one place, by the server.
 */
export const live = new Hono<PageApp>();

live.get("/", (c) =>
  streamEvents(c, { machine: null, session: null, detail: "coarse" }, (_event, isLast) =>
    isLast ? [{ event: "change", data: "" }] : [],
  ),
);
