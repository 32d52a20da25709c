/** The examples' images, built in an engine as a user builds them, of bases made here. */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Engine, environment } from './engine';
import { type Outcome, ROOT, type Running, run } from './init';

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

function succeed(what: string, outcome: Outcome): string {
  if (outcome.code === 0) return outcome.stdout;
  throw new Error(`${what} failed (${outcome.code}): ${outcome.stdout}${outcome.stderr}`);
}

/** The package as `npm pack` makes it, of what is built already: others use build/ meanwhile. */
function pack(folder: string): string {
  succeed('.ci/prebuild', run(['bash', join(ROOT, '.ci', 'prebuild'), '--as-built']));
  const words = ['npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', folder];
  const name = succeed('npm pack', run(words, { cwd: ROOT, env: process.env })).trim();
  return join(folder, name);
}

/** The classic builder is in every engine; the network is the host's, for there is no bridge. */
function build(engine: Engine, argv: readonly string[]): string {
  const env = { ...environment(), DOCKER_BUILDKIT: '0' };
  return succeed(argv.join(' '), engine.exec(argv, { env, timeout: 8 * MINUTES }));
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
      if (readdirSync(context).includes('package.json'))
        cpSync(packed, join(context, packed.slice(work.length)));
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
  const quoted = (argv: string[]) => argv.join(' ');
  const line = `${quoted(from.argv('docker', 'save', ...images))} | ${quoted(to.argv('docker', 'load'))}`;
  const words = ['bash', '-o', 'pipefail', '-c', line];
  succeed('docker save | docker load', run(words, { env: environment(), timeout: 8 * MINUTES }));
}

/** Of the layer. */
export const LAYER_BIN = '/opt/lychgate/bin';
/** What the crawlers say when their sessions are over. */
export const READY = /^ready$/m;

/** What the tests of images do with an engine's containers, which have no network. */
export class Containers {
  readonly engine: Engine;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  /** Started; its id. */
  begin(...words: readonly string[]): string {
    return this.engine.ask('run', '-d', '--network=none', ...words);
  }

  /** Run to its end. */
  once(...words: readonly string[]): Outcome {
    return this.engine.docker('run', '--rm', '--network=none', ...words);
  }

  logs(id: string): Running {
    return this.engine.start(['docker', 'logs', '-f', id]);
  }

  inspect(id: string, format: string): string {
    return this.engine.ask('inspect', '--format', format, id);
  }

  remove(...ids: readonly string[]): void {
    this.engine.ask('rm', '-f', '-v', ...ids);
  }

  /** @throws after 90 s, with what was waited for */
  async until(what: string, look: () => boolean): Promise<void> {
    for (let end = Date.now() + 90_000; !look(); ) {
      if (Date.now() > end) throw new Error(`did not come to pass: ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  noZombie(id: string): Promise<void> {
    return this.until('no zombie', () => this.engine.zombiesOf(id) === 0);
  }
}
