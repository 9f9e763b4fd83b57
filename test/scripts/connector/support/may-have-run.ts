/** Part of the message of every failed call that the server may have carried out. */
export const MAY_HAVE_RUN = "The call may have been carried out. Check what has been done before you call again.";
