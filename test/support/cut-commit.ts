import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';

/** A way to a PostgreSQL that is cut once, at the worst moment: after a COMMIT, before its answer is heard. */
export interface CutCommit {
  readonly port: number;
  /** How often it was cut: once, when it has met its client. */
  cuts(): number;
  close(): Promise<void>;
}

/** Of a message `CommandComplete`, whose text ends with a zero. */
const COMMITTED = Buffer.from('COMMIT\0');

/** Cuts the first client whose `application_name` is accepted by `isWanted`; everything else passes. */
export async function cutCommit(
  { host, port }: { readonly host: string; readonly port: number },
  isWanted: (application: string) => boolean,
): Promise<CutCommit> {
  const open = new Set<Socket>();
  let cuts = 0;
  const server = createServer((client) => {
    const database = connect({ host, port });
    for (const socket of [client, database]) {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
      socket.on('error', () => [client, database].forEach((one) => one.destroy()));
    }
    let asked = '';
    let answered: Buffer = Buffer.alloc(0);
    client.on('data', (part) => {
      // The name is in what it says first; the rest may be long.
      if (asked.length < 4096) asked += part.toString('latin1');
      database.write(part);
    });
    database.on('data', (part) => {
      answered = Buffer.concat([answered.subarray(-COMMITTED.length), part]);
      const name = /application_name\0([^\0]*)\0/.exec(asked)?.[1] ?? '';
      if (cuts === 0 && isWanted(name) && answered.includes(COMMITTED)) {
        cuts += 1;
        client.destroy();
        database.destroy();
      } else client.write(part);
    });
    client.on('end', () => database.end());
    database.on('end', () => client.end());
  });
  server.listen(0, host);
  await once(server, 'listening');
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    cuts: () => cuts,
    close: async () => {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
