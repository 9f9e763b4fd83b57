import { MachineReport } from "#protocol/script-api.ts";

/** A report as the control API's `Reports` entrypoint gets it. */
export type Received = { key: string | null; report: MachineReport };

type Asked = { method: string; url: string; headers: { get(name: string): string | null }; json(): Promise<unknown> };

/**
 * The service behind `CONTROL` of a machine script under test. Besides reports it answers the test itself, about the
 * machine whose log has this epoch: `GET /reports?epoch=&from=` waits until there are more than so many, `POST /refuse?epoch=&status=`
 * answers its next one with that status, `POST /want?epoch=` asks with the next answer for its facts,
 * `POST /stored?epoch=&seq=` says with the next answer that the events are stored up to that number, `POST /hold?epoch=` keeps the next
 * answer back until `POST /release?epoch=`.
 */
export function control(): (request: Asked) => Promise<Response> {
  const received: Received[] = [];
  const waiting = new Set<() => void>();
  const refused = new Map<string | null, number>();
  const wanting = new Set<string | null>();
  const storing = new Map<string | null, number>();
  const held = new Map<string | null, PromiseWithResolvers<void>>();

  async function take(request: Asked): Promise<Response> {
    const report = MachineReport.parse(await request.json());
    const { epoch } = report.presence.position;
    const status = refused.get(epoch) ?? 204;
    refused.delete(epoch);
    const wants: Record<string, string> = wanting.delete(epoch) ? { "x-operator-wants": "facts" } : {};
    received.push({ key: request.headers.get("x-operator-report-key"), report });
    for (const wake of waiting) wake();
    waiting.clear();
    const stored = { "x-operator-stored": String(storing.get(epoch) ?? report.push?.position.seq ?? 0) };
    storing.delete(epoch);
    await held.get(epoch)?.promise;
    return new Response(null, { status, headers: { ...wants, ...(status === 204 ? stored : {}) } });
  }

  async function show(epoch: string | null, from: number): Promise<Response> {
    for (;;) {
      const ofOne = received.filter(({ report }) => report.presence.position.epoch === epoch);
      if (ofOne.length > from) return Response.json(ofOne.slice(from));
      await new Promise<void>((resolve) => {
        waiting.add(resolve);
      });
    }
  }

  return async (request) => {
    const { pathname, searchParams } = new URL(request.url);
    const epoch = searchParams.get("epoch");
    switch (`${request.method} ${pathname}`) {
      case "POST /report":
        return take(request);
      case "GET /reports":
        return show(epoch, Number(searchParams.get("from")));
      case "POST /refuse":
        refused.set(epoch, Number(searchParams.get("status") ?? 503));
        return new Response(null, { status: 204 });
      case "POST /want":
        wanting.add(epoch);
        return new Response(null, { status: 204 });
      case "POST /stored":
        storing.set(epoch, Number(searchParams.get("seq")));
        return new Response(null, { status: 204 });
      case "POST /hold":
        held.set(epoch, Promise.withResolvers());
        return new Response(null, { status: 204 });
      case "POST /release":
        held.get(epoch)?.resolve();
        held.delete(epoch);
        return new Response(null, { status: 204 });
      default:
        return new Response("no such path", { status: 404 });
    }
  };
}
