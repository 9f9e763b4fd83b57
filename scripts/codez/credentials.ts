/**
 * The token with which this person asks `hub`, or `null` to ask without one (which a local Operator allows on loopback).
 * It is used for the REST API and `/mcp` alone; machines dial in with a link token of their own.
 */
export function hubToken(_hub: string): Promise<string | null> {
  return Promise.resolve(process.env["CODEZ_HUB_TOKEN"] || null);
}
