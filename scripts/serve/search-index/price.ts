import type { Tokens } from "../history/transcript-line.ts";
import type { ModelPrice } from "./store.ts";

/**
 * Relative prices of the kinds of tokens, which have been the same for all Claude models. The absolute price of a model is not
 * written down here, because it would become outdated. It is derived from the costs that Claude Code records.
 */
const WEIGHTS = { input: 1, output: 5, cacheRead: 0.1, cacheWrite: 1.25 } as const;

function weigh({ input, output, cacheRead, cacheWrite }: Tokens): number {
  const { input: i, output: o, cacheRead: r, cacheWrite: w } = WEIGHTS;
  return input * i + output * o + cacheRead * r + cacheWrite * w;
}

/** Derives a model's price from a recorded cost; `null` without tokens, or if Claude Code itself had no price for the model. */
export function learnPrice(model: string, tokens: Tokens, usd: number): ModelPrice | null {
  const weight = weigh(tokens);
  return weight > 0 && usd > 0 ? { model, usdPerToken: usd / weight } : null;
}

/** The estimated cost; `null` for a model whose price was never recorded. */
export function estimate(
  { model, tokens }: { model: string; tokens: Tokens },
  prices: ReadonlyMap<string, number>,
): number | null {
  const price = prices.get(model);
  return price === undefined ? null : price * weigh(tokens);
}
