// Bare node:http: each call is committed and answered, then its task is claimed in a second commit and ended in a third,
// as an orchestrator of containers that do nothing has to. GET tells how many are through.
import { serveAnswers } from './answers.mjs';
import { openOrchestration } from './rows.mjs';

const [path, like] = process.argv.slice(2);
const { call, done } = openOrchestration(path, like);
serveAnswers(call, done);
