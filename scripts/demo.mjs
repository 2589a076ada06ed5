// @ts-check
// `npm run demo [-- --once] [--store minio|seaweedfs] [--yes]`: the set-up, an object store, a gateway with
// config.example.json, and what became of each example.
import { parseArgs } from 'node:util';
import { command } from './lib/command.mjs';
import { CLOCK, CLOCK_ORIGIN, EXAMPLES, nextEvent, prepareStore } from './lib/demo-examples.mjs';
import { startDemoGateway } from './lib/demo-gateway.mjs';
import { follow, print, runExamples } from './lib/demo-run.mjs';
import { STORES } from './lib/demo-store.mjs';
import { ensureFfmpeg } from './lib/ffmpeg.mjs';
import { exampleImage } from './lib/images.mjs';
import { SetupError } from './lib/say.mjs';
import { setUp } from './setup.mjs';

/**
 * @typedef {import('./lib/demo-gateway.mjs').DemoGateway} DemoGateway
 */

let watching = false;

await command(
  async () => {
    const { once, store } = readArguments();
    await setUp([...new Set(EXAMPLES.map(({ trigger }) => exampleImage(trigger)))]);
    await ensureFfmpeg();
    const gateway = await startDemoGateway({ store, prepare: prepareStore });
    print(`\nTappet runs with ${gateway.configFile} and ${gateway.store.description}.`);
    await runExamples(gateway, EXAMPLES);
    await tellHowToGoOn(gateway, once);
    watching = !once;
    if (watching) await watchTheClock(gateway);
    return 0;
  },
  { mayInterrupt: () => watching },
);

function readArguments() {
  const options = /** @type {const} */ ({
    once: { type: 'boolean', default: false },
    store: { type: 'string' },
    yes: { type: 'boolean' },
  });
  try {
    const { once, store } = parseArgs({ options }).values;
    if (store === undefined) return { once };
    const known = STORES.find((name) => name === store);
    if (known === undefined) throw new Error(`--store "${store}" is none that the demo knows.`);
    return { once, store: known };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SetupError(`${why}\nThe demo takes --once, --store ${STORES.join('|')} and --yes.`);
  }
}

/**
 * @param {DemoGateway} gateway
 * @param {boolean} once
 */
async function tellHowToGoOn({ url, tokenFile, store, link }, once) {
  print(`\n   API         ${url}/api/v1`);
  print(`   token       in ${tokenFile} (made at the first start, readable by you alone)`);
  if (once) return;
  print(`   store       ${store.url}, access key ${store.accessKey}, secret key ${store.secretKey}`);
  print('   try         node dist/src/cli.js executions list --data-dir .tappet/demo');
  print('               cp examples/inbox-folder/people.csv inbox/');
  print(`   look at it  ${await link()}`);
  print(
    '               (works once, for ten minutes; for another: node dist/src/cli.js link --data-dir .tappet/demo)',
  );
  print('\nThe schedule goes on; Ctrl-C ends the demo and stops what it started.\n');
}

/**
 * A line per execution of the schedule, for ever.
 * @param {DemoGateway} gateway
 * @returns {Promise<never>}
 */
async function watchTheClock(gateway) {
  /** @type {Set<string>} */
  const seen = new Set();
  const since = Date.now();
  for (;;) {
    const uid = await nextEvent(gateway, CLOCK_ORIGIN, { since, seen });
    seen.add(uid);
    try {
      const { event, execution, output } = await follow(gateway, uid, { trigger: CLOCK });
      print(`   ${event.event.id}  ${execution?.name}  ${execution?.state}  │ ${output.split('\n').at(-1)}`);
    } catch (error) {
      print(`   ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
