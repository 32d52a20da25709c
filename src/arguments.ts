/** Values that more than one command takes, with the same words when they are wrong. */

type Failure = new (message: string) => Error;

/**
 * @param from the option or variable
 * @param most what is more is taken for a mistake
 * @returns seconds
 */
export function toSeconds(from: string, text: string, failure: Failure, most = 1e6): number {
  const n = /^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (n >= 0 && n <= most) return n;
  throw new failure(`${from} must be a number of seconds, such as 5 or 0.5, not '${text}'`);
}

/** From 1, of at most ten digits. */
export function toNumber(from: string, text: string, failure: Failure): number {
  const n = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (n >= 1) return n;
  throw new failure(`${from} must be a whole number from 1, not '${text}'`);
}
