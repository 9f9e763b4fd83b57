import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { build, type Plugin as EsbuildPlugin } from "esbuild";
import type { Plugin } from "vite";
import { planted } from "./plants.ts";

/** The code under simulation: what runs in Durable Objects and machine scripts. */
const SIMULATED = /\/(?:control-api|machine-template)\/(?:src|protocol)\/.*\.ts$/;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** What the tests import of the simulator. Everything else is behind it. */
const ENTRY = here("simulation.ts");

/** What these modules would otherwise take from the runtime. */
const GLOBALS = [
  "Date",
  "setTimeout",
  "clearTimeout",
  "scheduler",
  "console",
  "crypto",
  "WebSocketPair",
  "WebSocketRequestResponsePair",
];

/** Modules that stand in for the runtime's own and for the way to Cloudflare's API. */
const MODULES: Readonly<Record<string, string>> = {
  "cloudflare:workers": here("runtime/workers.ts"),
  agents: here("runtime/workers.ts"),
  "cloudflare/tree-shakable": here("runtime/cloudflare.ts"),
  "../../build/machine.js.txt": here("runtime/template.ts"),
};

/**
 * Small limits, so that a scenario of a few dozen events reaches them: pages are cut, logs are trimmed, blocks of numbers run out. The
 * relations between them are those of the real ones.
 */
const LIMITS: Readonly<Record<string, number>> = {
  EVENT_LOG_ROWS: 60,
  EVENT_PAGE_ROWS: 7,
  FIRST_PUSHED_ROWS: 20,
  MOVED_LOG_LEAP: 50,
  MAX_EVENTS_PER_FRAME: 5,
  LOG_ROWS: 100,
  TRIM_ROWS: 5,
  TRIM_EVERY: 10,
  FIRST_HISTORY: 20,
  SEQUENCE_BLOCK: 6,
};

/**
 * Puts the simulated runtime under the real sources: time, timers, sockets and storage are the simulator's. The sources stay as
 * they are in every other way.
 *
 * They are bundled into one module. To load several hundred of them one by one into workerd takes longer than all scenarios.
 *
 * @param plant the name of a bug that is planted (plants.ts), to see that it is found; `null` in every normal run
 */
export function simulated(plant: string | null): Plugin {
  return {
    name: "simulated-runtime",
    enforce: "pre",
    async load(id) {
      if (id !== ENTRY) return null;
      const { outputFiles } = await build({
        entryPoints: [ENTRY],
        bundle: true,
        write: false,
        format: "esm",
        target: "esnext",
        platform: "neutral",
        mainFields: ["module", "main"],
        conditions: ["workerd", "worker", "import"],
        external: ["cloudflare:*", "node:*"],
        sourcemap: "external",
        outfile: here("simulation.js"),
        plugins: [underneath(plant)],
      });
      const [map, code] = outputFiles.toSorted(({ path }) => (path.endsWith(".map") ? -1 : 1));
      if (map === undefined || code === undefined) throw new Error("esbuild wrote no source map");
      return { code: code.text, map: JSON.parse(map.text) };
    },
  };
}

/** Gives the sources under simulation the simulator's runtime, as they are bundled. */
function underneath(plant: string | null): EsbuildPlugin {
  return {
    name: "simulated-runtime",
    setup({ onLoad }) {
      onLoad({ filter: SIMULATED }, async ({ path }) => {
        let text = planted(plant, path, await readFile(path, "utf8"));
        for (const [module, stand] of Object.entries(MODULES))
          text = text.replaceAll(`from "${module}"`, `from "${stand}"`);
        for (const [name, value] of Object.entries(LIMITS))
          text = text.replace(new RegExp(`(const ${name} = )[^;]+;`), `$1${value};`);
        // A 101 answer needs a socket of the runtime.
        const names = path.endsWith("/link/sockets.ts") ? [...GLOBALS, "Response"] : GLOBALS;
        const used = names.filter((name) => new RegExp(`\\b${name}\\b`).test(text));
        const runtime =
          used.length === 0 ? "" : `import { ${used.join(", ")} } from ${JSON.stringify(here("runtime/globals.ts"))}; `;
        return { contents: runtime + text, loader: "ts" };
      });
    },
  };
}
