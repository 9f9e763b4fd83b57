/** The icon of the app on a home screen. Browsers keep its address, so it has no hash. */
export const APP_ICON_PATH = "/icon.png";
