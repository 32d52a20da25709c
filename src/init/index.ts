/** The door of the init. It imports neither scan nor freezer: PID 1 starts in 20 ms. */
export { main } from './main';
