import { afterAll, beforeAll, expect, it } from 'vitest';
import { exampleFile, IN, partOf, RunningExample } from '../../support/example.ts';

const PRODUCTS = ['cup', 'filter paper', 'a (round) \\ grinder', 'espresso machine'];
/** More products than a page of the PDF has lines. */
const MORE = Array.from({ length: 60 }, (_, i) => `part ${String(i).padStart(2, '0')}`);

let example: RunningExample;
beforeAll(async () => {
  example = await RunningExample.make('nightly-report', {
    // The night comes every two seconds here.
    change: (config) => (partOf(config, 'triggers', 'nightly-report', 'source')['cron'] = '*/2 * * * * *'),
  });
});
afterAll(() => example.close());

/** Orders, and what they come to, in cents. */
function orders(): { csv: string; totals: Map<string, { quantity: number; cents: number }> } {
  const totals = new Map<string, { quantity: number; cents: number }>();
  const lines = Array.from({ length: 500 }, (_, i) => {
    const product = [...PRODUCTS, ...MORE][(i * 7) % 64] ?? '';
    const quantity = (i * 13) % 17;
    const cents = 5 + ((i * 7919) % 100_000);
    const total = totals.get(product) ?? { quantity: 0, cents: 0 };
    totals.set(product, { quantity: total.quantity + quantity, cents: total.cents + quantity * cents });
    return `${i},${product},${quantity},${(cents / 100).toFixed(2)}`;
  });
  return { csv: `order,product,quantity,price\r\n${lines.join('\r\n')}\r\n`, totals };
}

const euros = (cents: number): string => `${Math.floor(cents / 100)}.${String(cents % 100).padStart(2, '0')}`;

/** The lines of text of a PDF, found as a reader finds them: from the end, by the table of its objects. */
function pdfLines(pdf: string): { pages: number; lines: string[] } {
  expect(pdf.startsWith('%PDF-1.4\n')).toBe(true);
  const start = Number(/startxref\n(\d+)\n%%EOF\n$/.exec(pdf)?.[1]);
  const [, size = '', table = ''] =
    /^xref\n0 (\d+)\n((?:\d{10} \d{5} [nf] \n)+)trailer/.exec(pdf.slice(start)) ?? [];
  const offsets = table.match(/\d{10} \d{5} [nf]/g) ?? [];
  expect(offsets).toHaveLength(Number(size));
  const objects = offsets.slice(1).map((entry, i) => {
    const object = pdf.slice(Number(entry.slice(0, 10)));
    expect(object.startsWith(`${i + 1} 0 obj\n`)).toBe(true);
    return object.slice(0, object.indexOf('endobj'));
  });
  const streams = objects.flatMap((object) => {
    const [, length, content] = /\/Length (\d+) >>\nstream\n(.*)endstream/s.exec(object) ?? [];
    if (content !== undefined) expect(content).toHaveLength(Number(length));
    return content ?? [];
  });
  const pages = Number(/\/Count (\d+)/.exec(objects[1] ?? '')?.[1]);
  expect(streams).toHaveLength(pages);
  const shown = [...streams.join('').matchAll(/^\((.*)\) Tj T\*$/gm)];
  return { pages, lines: shown.map(([, text = '']) => text.replace(/\\(.)/g, '$1')) };
}

it('adds up what is in the bucket, each night, as CSV and PDF in another bucket', async () => {
  const { csv, totals } = orders();
  await example.store.put(IN, 'sales/orders.csv', csv);
  await example.gateway.start();
  const { execution, event } = await example.executionOf('nightly-report');
  expect(execution, await example.log(execution)).toMatchObject({ state: 'SUCCEEDED' });

  const slot = String(partOf(event, 'data')['scheduledTime']);
  const wanted = [...totals].sort(([a], [b]) => (a < b ? -1 : 1));
  const sum = wanted.reduce(
    (all, [, { quantity, cents }]) => ({ quantity: all.quantity + quantity, cents: all.cents + cents }),
    {
      quantity: 0,
      cents: 0,
    },
  );
  const rows = [...wanted, ['TOTAL', sum] as const].map(([name, { quantity, cents }]) => [
    name,
    `${quantity}`,
    euros(cents),
  ]);
  const report = (await example.get(`reports/${slot}/report.csv`)).toString();
  expect(report).toBe(
    ['product,quantity,total', ...rows.map((row) => row.join(','))].map((line) => `${line}\n`).join(''),
  );

  const { pages, lines } = pdfLines((await example.get(`reports/${slot}/report.pdf`)).toString('latin1'));
  expect(pages).toBe(2);
  expect(lines.slice(0, 2)).toEqual(['Sales report', `for the night of ${slot}`]);
  expect(lines.slice(4).map((line) => line.trim().split(/ {2,}/))).toEqual(rows);
});

it('fails with the line that is no order, and leaves no report of it', async () => {
  const sample = exampleFile('nightly-report', 'orders.csv').toString();
  await example.store.put(IN, 'sales/orders.csv', `${sample}1008,cup,many,4.10\n`);
  const failed = await example.gateway.until('/api/v1/executions?state=FAILED', ({ executions }) =>
    (executions as { name: string }[]).at(-1),
  );
  expect(await example.log(failed)).toContain(
    'orders.csv, line 9: not order,product,quantity,price: 1008,cup,many,4.10',
  );
});
