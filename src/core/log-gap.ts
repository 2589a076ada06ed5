/** What stands, for people, where a part of a log is kept no longer. */
export function gapText(bytes: number): string {
  return `[tappet] ${bytes} bytes are missing here: the log was longer than maxLogBytes of its job.`;
}
