import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import type { Bundle } from "../../../scripts/local/bundle.ts";
import { controlConfig, type WorkerSetup } from "../../../scripts/local/control-config.ts";
import { readWorkerConfig, type WorkerConfig } from "../../../scripts/local/worker-config.ts";
import { REPOSITORY } from "../../../scripts/local/workers.ts";
import type { Address, Config } from "../../../scripts/local/workerd/config.ts";

const BUNDLE: Bundle = { modules: [{ name: "index.js", esModule: "export default {};" }] };

let control: WorkerConfig;
let dispatch: WorkerConfig;

beforeAll(async () => {
  control = await readWorkerConfig(join(REPOSITORY, "control-api/wrangler.jsonc"));
  dispatch = await readWorkerConfig(join(REPOSITORY, "dispatch-worker/wrangler.jsonc"));
});

function configured(sockets: Record<string, Address>, bundle = BUNDLE): Config {
  const workers: WorkerSetup[] = [
    { config: control, bundle: BUNDLE, vars: {}, sockets: { default: "unix:/gate" } },
    { config: dispatch, bundle, vars: { DISPATCH_SECRET: "the-secret" }, sockets },
  ];
  return controlConfig({
    workers,
    objects: "/objects",
    dispatch: (namespace) => ({ platform: "127.0.0.1:1", token: "a-token", namespace }),
  });
}

function bindingOf({ services }: Config, worker: string, binding: string): unknown {
  return services.find(({ name }) => name === worker)?.worker?.bindings?.find(({ name }) => name === binding);
}

describe("the control API's workerd", () => {
  it("runs the dispatch Worker in the control API's isolate, with its own secret and namespace", () => {
    const config = configured({});
    expect(bindingOf(config, "operator", "DISPATCHER")).toMatchObject({
      wrapped: {
        innerBindings: expect.arrayContaining([
          { name: "DISPATCH_SECRET", text: "the-secret" },
          expect.objectContaining({ name: "DISPATCH", wrapped: expect.anything() }),
        ]),
      },
    });
    expect(config.services.map(({ name }) => name)).not.toContain("operator-dispatch");
  });

  it("also runs it as a service if it listens for gates of one's own", () => {
    const { services, extensions } = configured({ default: "unix:/dispatch" });
    const names = services.map(({ name }) => name);
    expect(names).toContain("operator-dispatch");
    const modules = extensions?.flatMap((extension) => extension.modules.map(({ name }) => name)) ?? [];
    for (const all of [names, modules]) expect(new Set(all).size).toBe(all.length);
  });

  it("does not start with a dispatch Worker of several modules, which cannot run there", () => {
    const several = { modules: [...BUNDLE.modules, { name: "more.js", esModule: "" }] };
    expect(() => configured({}, several)).toThrow("operator-dispatch has more than one module");
  });
});
