/** Where a call goes, in the words of every tool of the unified endpoint. */

export const machineId = { type: "string", description: 'Machine name from list_machines, e.g. "attic".' };

/** Beside a session handle. */
export const machineOfSession = {
  type: "string",
  description: "Not needed with a handle.",
};

export const sessionHandle = {
  type: "string",
  description: 'Session handle "<machine>/<id>" from create_session or list_sessions.',
};
