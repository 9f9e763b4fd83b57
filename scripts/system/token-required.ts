/**
 * Header with which `codez serve` marks a 401 for a missing or wrong token of its own. The connector must not pass such a 401 on: an
 * MCP client would sign in at Operator again, which does not help.
 */
export const TOKEN_REQUIRED_HEADER = "x-codez-serve";
export const TOKEN_REQUIRED = "token-required";
