import type { Tokens } from "../history/transcript-line.ts";
import type { ModelPrice } from "./store.ts";

/**
 * How the kinds of tokens are priced against each other, which has been the same for all of Claude's models. The price
 * itself is not written down here, where it would be out of date: it is learnt from the costs that Claude Code records.
 */
const WEIGHTS = { input: 1, output: 5, cacheRead: 0.1, cacheWrite: 1.25 } as const;

function weigh({ input, output, cacheRead, cacheWrite }: Tokens): number {
  const { input: i, output: o, cacheRead: r, cacheWrite: w } = WEIGHTS;
  return input * i + output * o + cacheRead * r + cacheWrite * w;
}

/** `null` when nothing can be learnt: no tokens, or a model that Claude Code itself had no price for. */
export function learnPrice(model: string, tokens: Tokens, usd: number): ModelPrice | null {
  const weight = weigh(tokens);
  return weight > 0 && usd > 0 ? { model, usdPerToken: usd / weight } : null;
}

/** `null` for a model whose price was never recorded. */
export function estimate(
  { model, tokens }: { model: string; tokens: Tokens },
  prices: ReadonlyMap<string, number>,
): number | null {
  const price = prices.get(model);
  return price === undefined ? null : price * weigh(tokens);
}
