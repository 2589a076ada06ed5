// A gateway that stands still (SIGSTOP) in the middle of the commit of the first event that it is given: everything is
// written, SQLite holds its lock, COMMIT is not said yet. The product has no hook for this: the driver is wrapped.
import Sqlite from 'better-sqlite3';
import { serveWrapped } from './wrapped-gateway.mjs';

const prepare = Reflect.get(Sqlite.prototype, 'prepare');
let written = false;
let stood = false;

function onRun(statement, fn) {
  const run = statement.run.bind(statement);
  statement.run = (...params) => {
    fn();
    return run(...params);
  };
  return statement;
}

Sqlite.prototype.prepare = function (sql) {
  const statement = prepare.call(this, sql);
  if (sql.startsWith('INSERT INTO events ')) return onRun(statement, () => (written = true));
  if (sql === 'ROLLBACK') return onRun(statement, () => (written = false));
  if (sql === 'COMMIT') return onRun(statement, stand);
  return statement;
};

function stand() {
  if (!written || stood) return;
  stood = true;
  process.kill(process.pid, 'SIGSTOP');
}

await serveWrapped({});
