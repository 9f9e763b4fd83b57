/** What every failure of a call says that its server may have carried out. */
export const MAY_HAVE_RUN = "The call may have been carried out; look before calling again.";
