/** What each file imports; files are named by their path from the repository's root. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** `import ... from`, `export ... from`, `import "..."`, `import("...")`; those of types too. */
const IMPORT = /(?:^|[;\n])\s*(?:import|export)\b(?:[^"';]*?\bfrom)?\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;

/** The specifiers of every import in a source, as they are written. */
export function importsOf(source: string): string[] {
  return Array.from(source.matchAll(IMPORT), ([, from, called]) => from ?? called ?? "");
}

/**
 * The groups of files that import each other in a circle, each sorted; none where the graph has no circle. These are its
 * strongly connected components of two files and more (Tarjan, 1972), and files that import themselves.
 */
export function circlesIn(graph: ImportGraph): string[][] {
  const circles: string[][] = [];
  const found = new Map<string, { index: number; low: number; isOpen: boolean }>();
  const open: string[] = [];

  function visit(file: string): number {
    const state = { index: found.size, low: found.size, isOpen: true };
    found.set(file, state);
    open.push(file);
    for (const target of graph.get(file) ?? []) {
      if (!graph.has(target)) continue;
      const known = found.get(target);
      if (known === undefined) state.low = Math.min(state.low, visit(target));
      else if (known.isOpen) state.low = Math.min(state.low, known.index);
    }
    if (state.low === state.index) {
      const circle = open.splice(open.indexOf(file));
      for (const member of circle) found.set(member, { ...state, isOpen: false });
      if (circle.length > 1 || graph.get(file)?.includes(file)) circles.push(circle.toSorted());
    }
    return state.low;
  }

  for (const file of graph.keys()) if (!found.has(file)) visit(file);
  return circles;
}
