/** `// …` and `/* … *\/` outside of strings become spaces, so that positions stay. */
export function blankJsonComments(text: string): string {
  // What is not closed is taken along all the same, and stays: looked for anew at each of its signs it would take long.
  return text.replace(/"(?:[^"\\\n]|\\.)*"?|\/\/[^\n]*|\/\*[^]*?(?:(\*\/)|$)/g, (part, end?: string) =>
    part.startsWith('"') || (part.startsWith('/*') && end === undefined) ? part : part.replace(/[^\n]/g, ' '),
  );
}
