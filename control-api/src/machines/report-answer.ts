/** The answer to a report of a machine's script. */
export type ReportAnswer = {
  /** The next report must include the machine's facts. */
  wantsFacts: boolean;
  /** Up to which number of the machine's log its events are stored; `null` if the machine is unknown or pushed nothing. */
  stored: number | null;
  /** For how long the pieces of unfinished messages are wanted. */
  liveMs: number;
};
