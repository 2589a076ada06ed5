import { html as honoHtml, raw } from 'hono/html';

/** HTML that is safe to put into other HTML. Only `html` and `trusted` make it. */
export interface Html {
  readonly isEscaped: true;
  toString(): string;
}

/**
 * Escapes every value but `Html`, so that forgetting is safe; what is not shown well by a browser (control
 * characters, marks that turn the direction of writing) is written out. Values of attributes stand in double quotes.
 */
export function html(strings: TemplateStringsArray, ...values: readonly unknown[]): Html {
  const made = honoHtml(strings, ...values.map(plain));
  // It waits only for values that are promises.
  if (made instanceof Promise) throw new TypeError('a value of the page is a promise');
  return made;
}

/** Text of ours that is HTML already. */
export const trusted = (text: string): Html => raw(text);

function plain(value: unknown): unknown {
  if (typeof value === 'string') return printable(value);
  return Array.isArray(value) ? value.map(plain) : value;
}

/** Controls but tab and line feed, and marks by which a text could change how the text after it reads. */
const UNSEEN =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ufeff]/g;

/** `\x1b` or `\u202e` where a character would not be seen. */
export function printable(text: string): string {
  return text.replace(UNSEEN, (c) => {
    const code = c.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}

/** The head of a table: what each column is, for eyes and screen readers. */
export const tableHead = (...columns: readonly string[]): Html =>
  html`<thead>
    <tr>
      ${columns.map((column) => html`<th scope="col">${column}</th>`)}
    </tr>
  </thead>`;
