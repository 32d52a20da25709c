/** The door of the scan: `import { scan } from 'lychgate/scan'`. */
export { main } from './command';
export {
  CLASSES,
  type Container,
  type Finding,
  type FindingClass,
  type FindingState,
  type Limit,
  type Parent,
  type ProcessRef,
  ScanError,
  type ScanReport,
} from './model';
export { Scanner, type ScanOptions, scan } from './scan';
