import { app } from "../../../dispatch-worker/src/app.ts";
import type { Env } from "../../../dispatch-worker/src/env.ts";

/** A call that reached a script, as the script saw it. */
export type Reached = { slug: string; args: unknown; options: unknown; request: Request };

/** What a script of the namespace answers. */
export type Script = (request: Request) => Response | Promise<Response>;

/** A dispatch namespace with these scripts. As on the platform, `get` never throws; `fetch` does. */
class TestNamespace {
  readonly reached: Reached[] = [];
  /** The names that were looked up, whether there is such a script or not. */
  readonly asked: string[] = [];
  readonly #scripts: Record<string, Script>;

  constructor(scripts: Record<string, Script>) {
    this.#scripts = scripts;
  }

  get(slug: string, args: unknown, options: unknown): { fetch(request: Request): Promise<Response> } {
    this.asked.push(slug);
    return {
      fetch: async (request) => {
        const script = this.#scripts[slug];
        if (script === undefined) throw new Error("Worker not found.");
        this.reached.push({ slug, args, options, request });
        return script(request);
      },
    };
  }
}

/** Asks the dispatch Worker, with two machines behind it unless others are given. */
export async function dispatch(
  url: string,
  init: RequestInit = {},
  { scripts = {}, ...overrides }: { scripts?: Record<string, Script> } & Partial<Env> = {},
): Promise<{ response: Response; reached: Reached[]; asked: string[] }> {
  const named =
    (name: string): Script =>
    () =>
      new Response(`I am ${name}`);
  const namespace = new TestNamespace({ attic: named("attic"), cellar: named("cellar"), ...scripts });
  const env = {
    DISPATCH_SECRET: "gate-secret",
    DISPATCH_SECRET_PREVIOUS: "older-secret",
    DOMAIN: "localhost",
    ...overrides,
  };
  const bindings = { ...env, DISPATCH: namespace } as unknown as Env; // the namespace's other methods are not for a dispatch Worker
  const response = await app.fetch(new Request(url, init), bindings);
  return { response, reached: namespace.reached, asked: namespace.asked };
}

/** The headers of a trusted gate. */
export const trusted = (headers: Record<string, string> = {}): Record<string, string> => ({
  "x-operator-secret": "gate-secret",
  ...headers,
});

export async function codeOf(response: Response): Promise<string> {
  const { error }: { error: { code: string } } = await response.json();
  return error.code;
}

/** All that a caller can see of an answer. */
export async function seen(response: Response): Promise<object> {
  return { status: response.status, headers: [...response.headers], body: await response.text() };
}
