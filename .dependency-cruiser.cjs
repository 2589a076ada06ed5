/**
 * Which room may know which: the import rules of docs/architecture.md. A room not listed under `to` is out of bounds,
 * and a third-party package is at home in one folder. test/scripts/import-rules.test.ts plants a violation of each.
 */

/** What a room may import of ours, besides itself. */
const ROOMS = {
  'src/core': ['src/lib'],
  'src/lib': [],
  'src/auth': ['src/core', 'src/lib'],
  'src/bodies': ['src/core', 'src/lib'],
  'src/expr': ['src/core', 'src/lib'],
  'src/logs': ['src/core', 'src/lib'],
  'src/notify': ['src/core', 'src/lib'],
  'src/objects': ['src/core', 'src/lib'],
  'src/secrets': ['src/core', 'src/lib'],
  'src/client': ['src/core', 'src/lib'],
  'src/inbox': ['src/core', 'src/lib', 'src/expr'],
  'src/routing': ['src/core', 'src/lib', 'src/expr'],
  'src/executor': ['src/core', 'src/lib', 'src/expr'],
  'src/maintenance': ['src/core', 'src/lib', 'src/expr'],
  'src/http': ['src/core', 'src/lib', 'src/config', 'src/inbox', 'src/routing', 'src/executor'],
};

/** Folders of siblings that must not know one another. */
const SIBLINGS = ['triggers', 'src/runners', 'src/stores'];
const LEAVES = [
  'src/auth',
  'src/expr',
  'src/logs',
  'src/notify',
  'src/objects',
  'src/secrets',
  'src/client',
  'src/runners',
  'src/stores',
];

/** A package and the only places that may import it. */
const HOMES = {
  hono: ['src/http/'],
  '@hono/node-server': ['src/http/'],
  jose: ['src/auth/'],
  '@bufbuild/cel': ['src/expr/'],
  dockerode: ['src/runners/docker/'],
  'better-sqlite3': ['src/stores/sqlite/'],
  croner: ['triggers/cron/'],
  '@aws-sdk': ['src/objects/'],
  chokidar: ['triggers/files/'],
  picomatch: ['triggers/files/'],
  'tar-stream': ['src/runners/docker/'],
  'ipaddr.js': ['src/lib/addresses\\.ts$'],
  commander: ['src/cli\\.ts$', 'src/commands/'],
  pino: ['src/main\\.ts$', 'src/lib/gateway-log\\.ts$'],
};

const OURS = '^(src|triggers)/';
const PRODUCT = { path: OURS };
const inside = (folders) => folders.map((folder) => `^${folder}/`);

const rooms = Object.entries(ROOMS).map(([room, may]) => ({
  name: `room-${room.replaceAll('/', '-')}`,
  severity: 'error',
  comment: `${room} may import ${may.length === 0 ? 'nothing else of ours' : may.join(', ')}`,
  from: { path: `^${room}/` },
  to: { path: OURS, pathNot: inside([room, ...may]) },
}));

const siblings = SIBLINGS.map((folder) => ({
  name: `siblings-${folder.replaceAll('/', '-')}`,
  severity: 'error',
  comment: `what lies in one folder of ${folder}/ imports core, lib and itself`,
  from: { path: `^${folder}/([^/]+)/` },
  to: { path: OURS, pathNot: [`^${folder}/$1/`, ...inside(['src/core', 'src/lib'])] },
}));

const homes = Object.entries(HOMES).map(([name, folders]) => ({
  name: `home-of-${name.replaceAll(/[@/]/g, '')}`,
  severity: 'error',
  comment: `${name} is imported only in ${folders.join(' and ')}`,
  from: { path: OURS, pathNot: folders.map((folder) => `^${folder}`) },
  to: { path: `(^|/)node_modules/(@types/)?${name}/` },
}));

module.exports = {
  forbidden: [
    ...rooms,
    ...siblings,
    ...homes,
    {
      name: 'config-of-leaves-and-kinds',
      severity: 'error',
      comment: 'config imports core, lib, the leaves, and of a trigger kind only its config.ts',
      from: { path: '^src/config/' },
      to: {
        path: OURS,
        pathNot: [
          ...inside(['src/config', 'src/core', 'src/lib', ...LEAVES]),
          '^triggers/[^/]+/config\\.ts$',
        ],
      },
    },
    {
      name: 'commands-talk-through-the-client',
      severity: 'error',
      comment:
        'commands import client, lib and core; serve, validate, doctor and secrets also what they work on',
      from: { path: '^src/commands/', pathNot: '^src/commands/(serve|validate|doctor|secrets)\\.ts$' },
      to: { path: OURS, pathNot: inside(['src/commands', 'src/client', 'src/lib', 'src/core']) },
    },
    {
      name: 'commands-that-run-here',
      severity: 'error',
      comment: 'serve, validate and doctor also import main, config and the engine finder',
      from: { path: '^src/commands/(serve|validate|doctor)\\.ts$' },
      to: {
        path: OURS,
        pathNot: [
          ...inside(['src/commands', 'src/client', 'src/lib', 'src/core', 'src/config']),
          '^src/main\\.ts$',
          '^src/runners/docker/find-engine\\.ts$',
        ],
      },
    },
    {
      name: 'secrets-stay-in-the-folder',
      severity: 'error',
      comment: 'the command secrets works on the data folder: it imports the store of secrets, and no main',
      from: { path: '^src/commands/secrets\\.ts$' },
      to: {
        path: OURS,
        pathNot: inside(['src/commands', 'src/client', 'src/lib', 'src/core', 'src/secrets']),
      },
    },
    {
      name: 'registry-of-kinds',
      severity: 'error',
      comment: 'triggers/index.ts imports the kinds and the ports',
      from: { path: '^triggers/[^/]+\\.ts$' },
      to: { path: OURS, pathNot: ['^triggers/', ...inside(['src/core', 'src/lib'])] },
    },
    {
      name: 'only-main-knows-all',
      severity: 'error',
      comment: 'main.ts wires; only cli.ts and the commands that run here may import it',
      from: { path: OURS, pathNot: ['^src/cli\\.ts$', '^src/commands/(serve|validate|doctor)\\.ts$'] },
      to: { path: '^src/main\\.ts$' },
    },
    {
      name: 'product-knows-no-tests',
      severity: 'error',
      comment: 'nothing that ships imports tests, benchmarks or scripts',
      from: PRODUCT,
      to: { path: '^(test|bench|scripts)/' },
    },
    {
      name: 'no-cycle',
      severity: 'error',
      comment: 'no import cycle; type-only imports do not count: they leave no trace at run time',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'no-unlisted-package',
      severity: 'error',
      comment: 'what the product imports stands in dependencies',
      from: PRODUCT,
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'unknown', 'undetermined'],
        pathNot: '/@types/',
      },
    },
    {
      name: 'every-import-resolves',
      severity: 'error',
      comment: 'an import that leads nowhere',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'node', 'default'],
    },
  },
};
