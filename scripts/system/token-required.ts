/**
 * Header with which `codez serve` says that its token is missing or wrong. It tells the connector that this 401 is about
 * the connector: passed on to an MCP client, it would make that client sign in at Operator again, which changes nothing.
 */
export const TOKEN_REQUIRED_HEADER = "x-codez-serve";
export const TOKEN_REQUIRED = "token-required";
