import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

/** The code under simulation: what runs in Durable Objects and machine scripts. */
const SIMULATED = /\/(?:control-api|machine-template)\/(?:src|protocol)\/.*\.ts$/;

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

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
 */
export function simulated(): Plugin {
  return {
    name: "simulated-runtime",
    enforce: "pre",
    transform(code, id) {
      if (!SIMULATED.test(id)) return null;
      let text = code;
      for (const [module, stand] of Object.entries(MODULES))
        text = text.replaceAll(`from "${module}"`, `from "${stand}"`);
      for (const [name, value] of Object.entries(LIMITS))
        text = text.replace(new RegExp(`(const ${name} = )[^;]+;`), `$1${value};`);
      // A 101 answer needs a socket of the runtime.
      const names = id.endsWith("/link/sockets.ts") ? [...GLOBALS, "Response"] : GLOBALS;
      return { code: `import { ${names.join(", ")} } from "${here("runtime/globals.ts")}"; ${text}`, map: null };
    },
  };
}
