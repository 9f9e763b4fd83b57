import { WorkerEntrypoint } from "cloudflare:workers";
import { MachineReport, REPORT_KEY_HEADER, REPORT_WANTS_HEADER } from "#protocol/script-api.ts";
import type { Env } from "../env.ts";
import { isReportKey } from "./report-key.ts";

/** The RPC entrypoint to which machine scripts report changes. Scripts have it as a service binding; no public route reaches it. */
export class Reports extends WorkerEntrypoint<Env> {
  override async fetch(request: Request): Promise<Response> {
    const report = MachineReport.safeParse(await request.json().catch(() => null));
    if (!report.success) return new Response("not a report", { status: 400 });
    const { owner, slug, presence } = report.data;
    const isTheirs = await isReportKey(request.headers.get(REPORT_KEY_HEADER), owner, slug, this.env.REPORT_SECRET);
    if (!isTheirs) {
      await this.env.USER.getByName(owner).refused(slug);
      return new Response("not your report", { status: 403 });
    }
    const wantsFacts: boolean = await this.env.USER.getByName(owner).record(slug, presence);
    return new Response(null, { status: 204, headers: wantsFacts ? { [REPORT_WANTS_HEADER]: "facts" } : {} });
  }
}
