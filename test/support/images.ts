/** The examples' images, built in an engine as a user builds them, of bases made here. */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Engine, environment, succeed } from './engine';
import { ROOT, run } from './init';

const EXAMPLES = join(ROOT, 'examples');
/** Folders of examples/ with a Dockerfile, but the layer. */
const BUILT = ['selenium', 'puppeteer', 'playwright', 'alpine'] as const;
export type Example = (typeof BUILT)[number];

export const imageOf = (example: Example) => `lychgate-examples/${example}`;
/** Alpine with lychgate-pid1 and a baked plan. */
export const LEAN = 'lychgate-examples/alpine-lean';
const MINUTES = 60_000;

/** What the bases, the layer and the peers in the table are made with. */
const PROGRAMS = ['debootstrap', 'npm', 'objdump', 'tini-static', 'docker-compose'];
const MUSL = '/usr/lib/x86_64-linux-musl/libc.so';

/** Whether images can be built here; says SKIP and why not. For describe.runIf. */
export function requireImages(): boolean {
  const missing = PROGRAMS.filter((name) => run(['sh', '-c', `command -v ${name}`]).code !== 0);
  if (!existsSync(MUSL)) missing.push(`musl (${MUSL})`);
  if (missing.length > 0) console.log(`SKIP images: not installed: ${missing.join(' ')}`);
  return missing.length === 0;
}

/** The package as `npm pack` makes it, of what is built already: others use build/ meanwhile. */
function pack(folder: string): string {
  succeed('.ci/prebuild', run(['bash', join(ROOT, '.ci', 'prebuild'), '--as-built']));
  const words = ['npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', folder];
  const name = succeed('npm pack', run(words, { cwd: ROOT, env: process.env })).stdout.trim();
  return join(folder, name);
}

/** The classic builder is in every engine; the network is the host's, for there is no bridge. */
function build(engine: Engine, argv: readonly string[]): string {
  const env = { ...environment(), DOCKER_BUILDKIT: '0' };
  return engine.succeed(argv, { env, timeout: 8 * MINUTES });
}

/** Bases, layer and examples. @returns what the layer's build script said of size and start */
export function buildImages(engine: Engine): string {
  const work = mkdtempSync(join(tmpdir(), 'lychgate-images-'));
  try {
    build(engine, ['bash', join(__dirname, 'base-images.sh')]);
    const packed = pack(work);
    const script = join(EXAMPLES, 'layer', 'build.sh');
    const said = build(engine, ['bash', script, packed, '--network=host']);
    for (const example of BUILT) {
      const context = join(work, example);
      cpSync(join(EXAMPLES, example), context, { recursive: true });
      if (existsSync(join(context, 'package.json')))
        cpSync(packed, join(context, basename(packed)));
      build(engine, ['docker', 'build', '--network=host', '--tag', imageOf(example), context]);
    }
    const lean = ['--file', join(EXAMPLES, 'alpine', 'Dockerfile.lean'), '--tag', LEAN];
    build(engine, ['docker', 'build', '--network=host', ...lean, join(EXAMPLES, 'alpine')]);
    return said.slice(said.search(/^lychgate\/layer: /m));
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** What is built once need not be built for the other cgroup version: what is run there. */
export function copyImages(from: Engine, to: Engine): void {
  const images = ['lychgate/layer', LEAN, imageOf('alpine'), imageOf('selenium')];
  const pipe = [from.argv('docker', 'save', ...images), to.argv('docker', 'load')];
  const line = pipe.map((argv) => argv.join(' ')).join(' | ');
  const words = ['bash', '-o', 'pipefail', '-c', line];
  succeed('docker save | docker load', run(words, { env: environment(), timeout: 8 * MINUTES }));
}

/** Of the layer. */
export const LAYER_BIN = '/opt/lychgate/bin';
/** What the crawlers say when their sessions are over. */
export const READY = /^ready$/m;
