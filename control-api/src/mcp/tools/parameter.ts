/** Parameters that say which machine a call is for. Every tool of the unified endpoint describes them in these words. */

export const machineId = { type: "string", description: "Name from list_machines." };

/** `machineId` of a tool that takes a session handle. */
export const machineOfSession = {
  type: "string",
  description: "Not needed with a handle.",
};

export const sessionHandle = {
  type: "string",
  description: "Handle <machine>/<id>.",
};
