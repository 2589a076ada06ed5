/**
 * Runs in the browser (a text, because this project knows no DOM): what a reader with a screen reader, weak eyes or a
 * phone would stumble over, as sentences. Contrast as WCAG 2.2 computes it.
 */
export const PAGE_CHECKS = String.raw`(() => {
  const problems = [];
  const all = (selector) => [...document.querySelectorAll(selector)];
  const name = (element) => element.outerHTML.slice(0, 80);
  if (document.title.trim() === '') problems.push('no title');
  if (document.documentElement.lang === '') problems.push('no language');
  if (all('main').length !== 1) problems.push('not one main part');
  if (all('h1').length !== 1) problems.push('not one h1');
  let before = 0;
  for (const heading of all('h1, h2, h3, h4')) {
    const level = Number(heading.tagName[1]);
    if (level > before + 1) problems.push('a level is left out before ' + name(heading));
    before = level;
  }
  for (const table of all('table')) {
    const heads = [...table.querySelectorAll('thead th')];
    if (heads.length === 0 || heads.some((th) => th.scope !== 'col' || th.innerText.trim() === '')) problems.push('heads of ' + name(table));
    for (const row of table.tBodies[0].rows) if (row.cells.length !== heads.length) problems.push('cells of ' + name(row));
  }
  for (const link of all('a')) if (link.innerText.trim() === '' || !link.href) problems.push('a link without words: ' + name(link));
  const ids = all('[id]').map((element) => element.id);
  if (new Set(ids).size !== ids.length) problems.push('an id twice');
  for (const region of all('[role=region]')) if (!region.ariaLabel) problems.push('a region without a name: ' + name(region));
  if (document.documentElement.scrollWidth > window.innerWidth) problems.push('wider than the window');
  const channels = (text) => text.match(/[\d.]+/g).map(Number);
  const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const background = (element) => {
    for (let one = element; one !== null; one = one.parentElement) {
      const colour = channels(getComputedStyle(one).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  let measured = 0;
  for (const element of all('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
    if (!own || element.getClientRects().length === 0) continue;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(channels(style.color)), luminance(background(element))].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    measured++;
    if ((a + 0.05) / (b + 0.05) < (large ? 3 : 4.5)) problems.push('contrast of ' + name(element));
  }
  if (measured < 3) problems.push('only ' + measured + ' texts were measured');
  return problems;
})()`;
