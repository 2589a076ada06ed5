// Bare node:http: reads the body, commits the rows, answers. No verification, no matching.
import { serveAnswers } from './answers.mjs';
import { openRows } from './rows.mjs';

const [path, like] = process.argv.slice(2);
serveAnswers(openRows(path, like));
