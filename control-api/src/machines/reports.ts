import { WorkerEntrypoint } from "cloudflare:workers";
import { parseJson } from "#protocol/json.ts";
import { MAX_REPORT_BYTES } from "#protocol/limits.ts";
import {
  MachineReport,
  REPORT_KEY_HEADER,
  REPORT_LIVE_HEADER,
  REPORT_STORED_HEADER,
  REPORT_WANTS_HEADER,
} from "#protocol/script-api.ts";
import { textWithin } from "../http/text-within.ts";
import type { Env } from "../env.ts";
import type { ReportAnswer } from "./report-answer.ts";
import { isReportKey } from "./report-key.ts";

/**
 * The RPC entrypoint to which machine scripts report changes and push events. Scripts have it as a service binding; no public
 * route reaches it. A report is checked here, in an isolate of which there are many, and not in its owner's object, of which there
 * is one.
 */
export class Reports extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const report = MachineReport.safeParse(parseJson((await textWithin(request, MAX_REPORT_BYTES)) ?? ""));
    if (!report.success) return new Response("not a report", { status: 400 });
    const { owner, slug, presence, push = null } = report.data;
    const isTheirs = await isReportKey(request.headers.get(REPORT_KEY_HEADER), owner, slug, this.env.REPORT_SECRET);
    if (!isTheirs) {
      await this.env.USER.getByName(owner).refused(slug);
      return new Response("not your report", { status: 403 });
    }
    const answer: ReportAnswer = await this.env.USER.getByName(owner).record(slug, presence, push);
    const headers = new Headers();
    if (answer.wantsFacts) headers.set(REPORT_WANTS_HEADER, "facts");
    if (answer.stored !== null) headers.set(REPORT_STORED_HEADER, String(answer.stored));
    if (answer.liveMs > 0) headers.set(REPORT_LIVE_HEADER, String(answer.liveMs));
    return new Response(null, { status: 204, headers });
  }
}
