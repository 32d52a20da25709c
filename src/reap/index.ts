/** The door of reaping in place: `import { reap } from 'lychgate/reap'`. */
export { main } from './command';
export {
  type Family,
  type FamilyReport,
  type Left,
  ReapError,
  type Reaped,
  type ReapReport,
  type Zombie,
} from './model';
export { DEFAULT_MIN_AGE } from './options';
export { notDone, reapInPlace } from './reap';
export { isFrozen, type ReapOptions, reap } from './reaper';
export { type Judged, judge, type Rules } from './rules';
export { Watch } from './watch';
export { endings, summary, zombiesOf } from './words';
