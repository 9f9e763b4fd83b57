/** Telemetry is off in the test's environment; nothing else is set, so that the gate meets a project's defaults. */
export default { outputFileTracingRoot: import.meta.dirname, turbopack: { root: import.meta.dirname } };
