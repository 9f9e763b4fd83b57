/**
 * What a line of Markdown begins with. Whatever follows the mark is taken whole, a lone carriage return as well. If these could fail after a long run
 * of spaces or tildes, they would try each shorter run, which takes seconds for one line.
 */
export const FENCE = /^ {0,3}(`{3,}(?!`)|~{3,}(?!~))[^`]*$/;
export const HEADING = /^#{1,6} +([^]*)$/;
export const BULLET = /^ {0,6}(?:[-*+]|\d{1,4}[.)]) +([^]*)$/;
export const NUMBERED = /^ {0,6}\d{1,4}[.)] /;
export const TABLE = /^ *\|/;
