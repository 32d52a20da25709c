/**
 * COMMAND's words as bytes. Node decodes argv as UTF-8 and puts U+FFFD for what
 * is not; a file name may be any bytes. The originals stand in /proc.
 */
import { readFileSync } from 'node:fs';

/** @returns the words, those that Node could not decode as the bytes they were. */
export function exactWords(
  words: readonly string[],
  readCmdline: () => Buffer = () => readFileSync('/proc/self/cmdline'),
): (string | Buffer)[] {
  if (!words.some((w) => w.includes('\uFFFD'))) return [...words];
  let raw: Buffer[];
  try {
    raw = splitAtNul(readCmdline()).slice(-words.length);
  } catch {
    return [...words];
  }
  return words.map((word, i) => {
    const bytes = raw[i];
    return bytes && word.includes('\uFFFD') && bytes.toString('utf8') === word ? bytes : word;
  });
}

function splitAtNul(text: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf(0, from);
    const to = end < 0 ? text.length : end;
    parts.push(text.subarray(from, to));
    from = to + 1;
  }
  return parts;
}
