// @ts-check
// `npm run demo [-- --once] [--yes]`: the set-up, a gateway with config.example.json, and what became of each example.
import { command } from './lib/command.mjs';
import { CLOCK, EXAMPLES, nextEvent } from './lib/demo-examples.mjs';
import { startDemoGateway } from './lib/demo-gateway.mjs';
import { follow, print, runExamples } from './lib/demo-run.mjs';
import { DEMO_IMAGE } from './lib/images.mjs';
import { setUp } from './setup.mjs';

/**
 * @typedef {import('./lib/demo-gateway.mjs').DemoGateway} DemoGateway
 */

let watching = false;

await command(
  async () => {
    const once = process.argv.includes('--once');
    await setUp([DEMO_IMAGE]);
    const gateway = await startDemoGateway();
    print(`\nTappet runs with ${gateway.configFile}. ${EXAMPLES.length} examples follow.`);
    await runExamples(gateway, EXAMPLES);
    tellHowToGoOn(gateway, once);
    watching = !once;
    if (watching) await watchTheClock(gateway);
    return 0;
  },
  { mayInterrupt: () => watching },
);

/**
 * @param {DemoGateway} gateway
 * @param {boolean} once
 */
function tellHowToGoOn({ url, tokenFile }, once) {
  print(`\n   API         ${url}/api/v1`);
  print(`   token       in ${tokenFile} (made at the first start, readable by you alone)`);
  if (once) return;
  print(`   try         curl -H "Authorization: Bearer $(cat ${tokenFile})" ${url}/api/v1/executions`);
  print('               node dist/src/cli.js events list --data-dir .tappet/demo');
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
    const uid = await nextEvent(gateway, CLOCK, seen, since);
    seen.add(uid);
    try {
      const { event, execution, output } = await follow(gateway, uid, { trigger: CLOCK });
      print(`   ${event.event.id}  ${execution?.name}  ${execution?.state}  │ ${output.split('\n').at(-1)}`);
    } catch (error) {
      print(`   ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
