import { makeSqliteFixture } from '../support/sqlite-fixture.ts';
import { storeContract } from './store.contract.ts';

storeContract('SQLite', makeSqliteFixture);
