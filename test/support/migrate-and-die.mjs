// Opens a store whose process ends with SIGKILL before its n-th statement on the way, or lives and prints how many
// there were: `node migrate-and-die.mjs <module> <database> <n>`. The module is the product's store as one file.
const [, , module, path, at] = process.argv;
const { SqliteStore, SystemClock, openConnection } = await import(module);
let statements = 0;

function next() {
  statements += 1;
  if (statements === Number(at)) process.kill(process.pid, 'SIGKILL');
}

/** A migration is one text: each of its statements is a place of its own. None of them has a `;` within. */
const connect = (file, mustExist) => {
  const connection = openConnection(file, mustExist);
  return {
    get inTransaction() {
      return connection.inTransaction;
    },
    exec(sql) {
      for (const one of sql.split(/;\s*/)) {
        if (one.trim() === '') continue;
        next();
        connection.exec(one);
      }
    },
    prepare(sql) {
      const statement = connection.prepare(sql);
      const counted = (method) => {
        return (...params) => {
          next();
          return statement[method](...params);
        };
      };
      return { run: counted('run'), get: counted('get'), all: counted('all') };
    },
    close: () => connection.close(),
  };
};

const ids = { uid: () => 'uid', suffix: (length) => 'x'.repeat(length) };
const store = new SqliteStore({ path, clock: new SystemClock(), ids, connect });
await store.open();
console.log(statements);
await store.close();
