/** The browser tab's icon: a patch cord between two jacks of a telephone switchboard. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="none" stroke="#0b8f7a" stroke-width="2.4" stroke-linecap="round"><circle cx="5" cy="6" r="2.5"/><circle cx="19" cy="6" r="2.5"/><path d="M5 8.5C5 17 19 10 19 20"/></svg>`;
