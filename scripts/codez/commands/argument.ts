import { InvalidArgumentError } from "commander";

/** A count that a person gives as an option's value: a whole number from 1. */
export function countIn(text: string): number {
  const count = Number(text);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError("must be a whole number of at least 1");
  return count;
}
