import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../src/core/json.ts';
import { TEST_IMAGE } from '../support/engine.ts';
import { engineHost } from '../support/engine-host.ts';
import { GatewayProcess } from '../support/gateway-process.ts';
import { PAGE_CHECKS } from '../support/page-checks.ts';

/** Without them Chromium looks for its maker's hosts at every start; as root it needs the first one. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const EVIL = '<script>document.title="taken"</script><img src=x onerror="document.title=1">"\'&amp;';

const CONFIG: JsonObject = {
  jobs: {
    talk: {
      image: TEST_IMAGE,
      command: ['/bin/sh', '-c', 'echo "hello <b>there</b>"; echo "careful" >&2; exit "$CODE"'],
      env: { CODE: '0' },
      memory: '64Mi',
      timeout: '1m',
      maxRetries: 0,
    },
  },
  triggers: {
    yearly: { source: { kind: 'cron', cron: '0 0 1 1 *', zone: 'Europe/Berlin' }, run: { job: 'talk' } },
    call: {
      source: { kind: 'webhook', auth: 'none' },
      when: 'event.data.size > 10',
      run: { job: 'talk', env: { CODE: '${{ event.data.code }}' } },
    },
  },
};

describe('the page in a real browser', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tappet-page-'));
  let gateway: GatewayProcess;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  /** What the browser complained of. */
  const complaints: string[] = [];

  beforeAll(async () => {
    gateway = new GatewayProcess({ dir, config: CONFIG, env: { DOCKER_HOST: await engineHost() } });
    const executablePath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
    [browser] = await Promise.all([chromium.launch({ executablePath, args: FLAGS }), gateway.start()]);
    context = await browser.newContext();
    page = await context.newPage();
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('requestfailed', (request) => complaints.push(`not loaded: ${request.url()}`));
  });
  afterAll(async () => {
    await browser.close();
    await gateway.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const linkIn = (output: string): string => / in a browser: (\S+)/.exec(output)?.[1] ?? '';
  const printedLink = async (): Promise<string> => {
    // It comes in the line after the one that the start waits for.
    await expect.poll(() => linkIn(gateway.output)).not.toBe('');
    return linkIn(gateway.output);
  };
  const call = async (data: JsonObject): Promise<JsonObject> => {
    const body = JSON.stringify(data);
    const headers = { 'content-type': 'application/json' };
    const response = await fetch(`${gateway.url}/hooks/call`, { method: 'POST', headers, body });
    return (await response.json()) as JsonObject;
  };
  const ended = (name: string): Promise<JsonObject> =>
    gateway.until(`/api/v1/executions/${name}`, (one) => (one['completionTime'] === null ? undefined : one));
  const problems = (): Promise<string[]> => page.evaluate<string[]>(PAGE_CHECKS);

  it('is opened by the link that `tappet serve` prints, which sets a strict cookie and works once', async () => {
    const link = await printedLink();
    expect(link).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/\?code=[0-9a-z]{26}$/);
    await page.goto(link);
    expect(page.url()).toBe(`${gateway.url}/`);
    expect(await page.title()).toBe('Overview · Tappet');
    const [cookie, ...others] = await context.cookies();
    expect(others).toEqual([]);
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/', secure: false });
    const stranger = await browser.newContext();
    const tab = await stranger.newPage();
    expect((await tab.goto(link))?.status()).toBe(401);
    expect(await tab.locator('h1').innerText()).toBe('A link is needed');
    expect(await tab.evaluate<string[]>(PAGE_CHECKS)).toEqual([]);
    expect(await stranger.cookies()).toEqual([]);
    await stranger.close();
  });

  it('shows an execution that starts while it is open, why it ran, and its log', async () => {
    await page.goto(gateway.url);
    const { executions } = await call({ size: 11, code: 3, text: EVIL });
    const name = String((executions as unknown[])[0]);
    // The page reads itself anew.
    const row = page.locator('tr', { has: page.getByRole('link', { name }) });
    await row.waitFor();
    expect(await row.innerText()).toContain('trigger call');
    await ended(name);
    await page.getByRole('link', { name }).click();
    await page.getByText('FAILED').first().waitFor();
    expect(await page.locator('h1').innerText()).toBe(name);
    expect(await page.locator('dl').innerText()).toContain('event.data.size > 10 is true');
    expect(await page.locator('main').innerText()).toMatch(/NON_ZERO_EXIT_CODE · exit code 3/);
    expect(await page.locator('pre').innerText()).toMatch(/hello <b>there<\/b>/);
    expect(await page.locator('pre .err').innerText()).toContain('careful');
    expect(await problems()).toEqual([]);
    await page.getByRole('link', { name: 'All of this log' }).click();
    expect(await page.locator('pre').innerText()).toContain('careful');
    expect(await problems()).toEqual([]);
  });

  it('shows why nothing happened, and what somebody sent as text alone', async () => {
    await call({ size: 1, code: 0, text: EVIL });
    await page.goto(gateway.url);
    const row = page.locator('tr', { hasText: 'filtered' });
    expect(await row.innerText()).toContain('event.data.size > 10 is false (event.data.size is 1)');
    await row.getByRole('link').click();
    expect(await page.locator('h2').first().innerText()).toBe('What each trigger answered');
    const data = await page.locator('pre').first().innerText();
    expect((JSON.parse(data) as JsonObject)['text']).toBe(EVIL);
    expect(await page.locator('script, img').count()).toBe(0);
    expect(await page.title()).toMatch(/^Event .* · Tappet$/);
    expect(await problems()).toEqual([]);
  });

  it('tells the next time of a schedule', async () => {
    await page.goto(gateway.url);
    const row = page.locator('tr', { hasText: 'yearly' });
    // Midnight in Berlin's winter.
    expect(await row.innerText()).toMatch(/-12-31 23:00:00 UTC[\s\S]*0 0 1 1 \*[\s\S]*Europe\/Berlin/);
  });

  it.each(['light', 'dark'] as const)(
    'is readable in %s, on a wide screen and on a phone',
    async (colorScheme) => {
      await page.emulateMedia({ colorScheme });
      const backs = new Set<string>();
      for (const width of [1280, 390]) {
        await page.setViewportSize({ width, height: 844 });
        for (const path of [
          '/',
          '/executions/none',
          await firstLink('/executions/'),
          await firstLink('/events/'),
        ]) {
          await page.goto(`${gateway.url}${path}`);
          expect([path, width, await problems()]).toEqual([path, width, []]);
          backs.add(await page.evaluate<string>('getComputedStyle(document.body).backgroundColor'));
        }
      }
      expect([...backs]).toEqual([colorScheme === 'light' ? 'rgb(246, 247, 249)' : 'rgb(16, 20, 27)']);
    },
  );

  const firstLink = async (start: string): Promise<string> => {
    await page.goto(gateway.url);
    return (await page.locator(`a[href^="${start}"]`).first().getAttribute('href')) ?? '';
  };

  it('made the browser complain of nothing but the page that is not there', () => {
    const expected = /^error: Failed to load resource: .* 404 \(Not Found\)$/;
    expect(complaints.filter((complaint) => !expected.test(complaint))).toEqual([]);
  });

  it('lets no script run that got into it all the same, and the browser says so', async () => {
    await page.goto(gateway.url);
    await page.evaluate(
      `document.body.append(Object.assign(document.createElement('script'), { textContent: 'document.title = "taken"' }))`,
    );
    expect(await page.title()).toBe('Overview · Tappet');
    expect(complaints.at(-1)).toMatch(/Content Security Policy/);
  });
});
