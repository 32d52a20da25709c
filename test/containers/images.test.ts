/**
 * The examples, built and run as a user does it. `npm run images` runs this file alone; the table
 * at its end is what README shows.
 */
import { afterAll, beforeAll, describe } from 'vitest';
import { type CgroupVersion, type Engine, requireEngine, startEngine } from '../support/engine';
import { buildImages, copyImages, requireImages } from '../support/images';
import { browsers, table } from './browsers';
import { layer } from './layer';
import { manifests } from './manifests';

let said = '';
let first: Engine | undefined;

afterAll(async () => {
  await first?.stop();
  if (table.length > 0) console.log(`${said}\n${table.toString()}`);
});

const HAS_PROGRAMS = requireImages();
const VERSIONS: CgroupVersion[] = [1, 2];
for (const cgroup of VERSIONS) {
  describe.runIf(HAS_PROGRAMS && requireEngine(cgroup))(`images, cgroup v${cgroup}`, () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await startEngine({ cgroup });
      if (first === undefined) {
        first = engine;
        said = buildImages(engine);
      } else {
        copyImages(first, engine);
      }
    }, 900_000);
    afterAll(async () => {
      if (engine !== first) await engine?.stop();
    });

    browsers(cgroup, () => engine);
    layer(cgroup, () => engine);
    manifests(() => engine);
  });
}
