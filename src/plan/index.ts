/** The door of the plan: `lychgate plan`. What runs below lychgate-pid1 is live.ts. */
export { main } from './command';
