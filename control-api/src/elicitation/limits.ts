/**
 * Characters of a form's text. A client shows it in a dialog or a terminal, where a person reads all of it before they decide. Something
 * longer is decided in the inbox.
 */
export const MAX_FORM_CHARACTERS = 4_000;

/** Options that a form offers as a choice, and the length of each. With more or longer ones the person types the answer. */
export const MAX_CHOICES = 10;
export const MAX_CHOICE_CHARACTERS = 200;

/**
 * Forms in one call of a client of 2026-07-28, each of which costs it a round trip. Its SDK gives up after 10, with an error in place of
 * the answer.
 */
export const MAX_ROUNDS = 8;

/** How long a client of 2026-07-28 may take to come back with an answer: as long as a request waits by default. Seconds. */
export const STATE_LIFE_S = 60 * 60;

/**
 * A machine's answer that a session waits may overtake the event that says for what. The event takes well under a second; a machine
 * that does not push its events never sends it. Milliseconds.
 */
export const ARRIVAL_MS = 5_000;

/** Progress while a person thinks, or the turn goes on: clients give up on a silent call after a minute. Milliseconds. */
export const PROGRESS_MS = 10_000;

/** Forms of one person that wait at once, over all of their clients. Beyond this the oldest is given up; its request waits in the inbox. */
export const MAX_WAITING_FORMS = 50;
