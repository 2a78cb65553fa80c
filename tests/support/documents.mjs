// The blocks of code of a document.

import { readFileSync } from 'node:fs';
import path from 'node:path';

import { root } from './server.mjs';

/** The blocks between ```language and ```, in order: `{language, text}`; with `heading`, those of that section alone. */
export function blocksOf(document, heading) {
  const text = readFileSync(path.join(root, document), 'utf8');
  const section = heading === undefined ? text : text.split(/^## /m).find(part => part.startsWith(`${heading}\n`));
  return [...section.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, code]) => ({ language, text: code }));
}

/** All blocks of a language, as one text. */
export const textOf = (blocks, language) => blocks.filter(block => block.language === language).map(({ text }) => text).join('');
