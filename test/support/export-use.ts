/** `export const name`, `export async function name`, `export class name`; not types, which describe what is exported. */
const DECLARATION = /^export (?:declare )?(?:abstract )?(?:async )?(?:const|let|function\*?|class|enum) (\w+)/gm;

/** `import { a, type b, c as d } from "..."`, and the same of a re-export. */
const NAMED = /(?:^|[;\n])\s*(?:import|export)\b[^"';]*?\{([^}]*)\}\s*from\s*["']([^"']+)["']/g;

/** `import * as all from "..."`, `export * from "..."`, `import("...")`: any export may be used. */
const WHOLE = /\*\s*(?:as\s+\w+\s+)?from\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;

/** The values that a source declares and exports, without schemas that are exported together with the type of their name. */
export function exportedValues(source: string): string[] {
  const values = Array.from(source.matchAll(DECLARATION), ([, name = ""]) => name);
  return values.filter((name) => !new RegExp(`^export type ${name}\\b`, "m").test(source));
}

/** The names that a source imports, each with its specifier. The name `*` stands for all that there is. */
export function importedNames(source: string): { specifier: string; name: string }[] {
  const named = Array.from(source.matchAll(NAMED)).flatMap(([, list = "", specifier = ""]) =>
    list
      .replaceAll(/\/\/.*/g, "")
      .split(",")
      .flatMap((item) => {
        const [, name] = /^\s*(?:type\s+)?(\w+)/.exec(item) ?? [];
        return name === undefined ? [] : [{ specifier, name }];
      }),
  );
  const whole = Array.from(source.matchAll(WHOLE), ([, from, called]) => ({
    specifier: from ?? called ?? "",
    name: "*",
  }));
  return [...named, ...whole];
}
