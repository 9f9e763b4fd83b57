import { randomInt } from "node:crypto";

/** Crockford's letters: none is mistaken for another. */
const LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** Four groups of five: 100 bits, and still to be typed from a terminal into a phone. */
const GROUPS = 4;
const GROUP_LETTERS = 5;

/** A new claim code: the person who enters it at `/claim` becomes the owner of an Operator. It works once. */
export function makeClaimCode(): string {
  const letter = () => LETTERS[randomInt(LETTERS.length)];
  const group = () => Array.from({ length: GROUP_LETTERS }, letter).join("");
  return Array.from({ length: GROUPS }, group).join("-");
}
