/** How the line ends that stands in stderr where output is missing for good; a resume recognises it by this. */
export const GAP_END = 'before the gateway could read it.\n';
export const GAP_LINE = `\n[tappet] Output is missing here: the engine had dropped it from its own log ${GAP_END}`;
/** How it ends where the engine knows of no end: it was away then, and what was written meanwhile is nowhere. */
export const UNSEEN_END_LINE =
  '\n[tappet] Output may be missing here: the engine was away when the container ended, or was restarted since.\n';
