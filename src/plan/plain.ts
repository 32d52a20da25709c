/**
 * The plans of a command line without options, made when we are built: nothing has to be
 * computed for them, and V8 has next to nothing to read, at a container's start.
 */
import { LEAN_DEFAULTS } from '../init/defaults';
import { encodeLive } from './encode';

/** COMMAND is the first word, or stands behind `--`. In words of 32 bits. */
export const plainPlans = [1, 2].map((firstWord) => [
  ...new Uint32Array(encodeLive(LEAN_DEFAULTS, firstWord).buffer),
]);
