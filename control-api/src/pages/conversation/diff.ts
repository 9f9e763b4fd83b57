/** Lines of the old and the new text together, beyond which they are shown one after the other and not compared. */
const MAX_COMPARED = 2_000;

/** Unchanged lines that are shown around a change. */
const CONTEXT = 3;

/** A line without its sign. `same` is in the old and in the new text. */
export type DiffLine = { readonly kind: "same" | "del" | "ins"; readonly text: string };

/**
 * What changed between two texts, by line. Only the lines at the start and at the end that both have are taken out: an edit replaces
 * one passage, and this needs no time to speak of, whatever a machine sends.
 *
 * @param context unchanged lines that are kept around the change
 */
export function diffOf(before: string, after: string, context = CONTEXT): DiffLine[] {
  const [old, young] = [before, after].map((text) => (text === "" ? [] : text.split("\n")));
  if (old === undefined || young === undefined) return [];
  const shorter = old.length + young.length > MAX_COMPARED ? 0 : Math.min(old.length, young.length);
  let head = 0;
  while (head < shorter && old[head] === young[head]) head += 1;
  let tail = 0;
  const most = Math.max(0, shorter - head);
  while (tail < most && old[old.length - 1 - tail] === young[young.length - 1 - tail]) tail += 1;
  const same = (text: string): DiffLine => ({ kind: "same", text });
  return [
    ...old.slice(Math.max(0, head - context), head).map(same),
    ...old.slice(head, old.length - tail).map((text): DiffLine => ({ kind: "del", text })),
    ...young.slice(head, young.length - tail).map((text): DiffLine => ({ kind: "ins", text })),
    ...old.slice(old.length - tail, old.length - tail + context).map(same),
  ];
}
