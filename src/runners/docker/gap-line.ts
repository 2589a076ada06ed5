/** How the line ends that stands in stderr where output is missing for good; a resume recognises it by this. */
export const GAP_END = 'before the gateway could read it.\n';
export const GAP_LINE = `\n[tappet] Output is missing here: the engine had dropped it from its own log ${GAP_END}`;
