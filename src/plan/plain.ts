/**
 * The plans of a command line without options, made when we are built: nothing has to be
 * computed for them, and V8 has next to nothing to read, at a container's start.
 */
import { LEAN_DEFAULTS } from '../init/defaults';
import { encodeLive } from './encode';

/** COMMAND is the first word, or stands behind `--`. In base64. */
export const plainPlans = [1, 2].map((firstWord) =>
  Buffer.from(encodeLive(LEAN_DEFAULTS, firstWord)).toString('base64'),
);
