/**
 * Who runs it: the Dockerfile here. `node assemble.mjs TARGET`: makes the tree of the layer at
 * TARGET, where it will lie later too, of what npm installed beside this file.
 *
 *   bin/lychgate        Node is PID 1, the addon reaps
 *   bin/lychgate-pid1   the lean form: static, asks Node for a plan, or takes a baked one
 *   bin/node            the official binary, made smaller; it brings its libraries along
 *   lib/                these, so that the layer runs in images of any libc, or of none
 *   dist/, prebuilds/   as in the npm package
 *   licenses/           of Node and of the libraries
 */
import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';

const target = process.argv[2];
if (!target?.startsWith('/')) throw new Error('usage: assemble.mjs TARGET, an absolute path');
const modules = join(import.meta.dirname, 'node_modules');
const platform = `linux-${process.arch}`;
const from = { package: join(modules, 'lychgate'), node: join(modules, `node-${platform}`) };
const run = (program, ...args) => execFileSync(program, args, { encoding: 'utf8' });
const to = (...path) => join(target, ...path);

for (const folder of ['bin', 'dist', 'lib', 'licenses', `prebuilds/${platform}`])
  mkdirSync(to(folder), { recursive: true });

/* Lychgate, without what only a compiler or another program would read. */
for (const file of readdirSync(join(from.package, 'dist')).filter((name) => name.endsWith('.cjs')))
  copyFileSync(join(from.package, 'dist', file), to('dist', file));
for (const file of ['LICENSE', 'package.json']) copyFileSync(join(from.package, file), to(file));
const ready = join(from.package, 'prebuilds', platform);
const addon = 'lychgate.glibc.node';
if (!existsSync(join(ready, addon))) throw new Error(`the package has no ${addon} for ${platform}`);
copyFileSync(join(ready, addon), to('prebuilds', platform, addon));
copyFileSync(join(ready, 'lychgate-pid1'), to('bin/lychgate-pid1'));
/* Not env: there may be none in the image, and no node in PATH. */
const cli = readFileSync(to('dist/cli.cjs'), 'utf8');
writeFileSync(to('dist/cli.cjs'), cli.replace(/^#!.*/, `#!${to('bin/node')}`), { mode: 0o755 });
symlinkSync('../dist/cli.cjs', to('bin/lychgate'));

/* Node: first what binutils and patchelf need the sections for, then without sections. */
const node = join(import.meta.dirname, 'node');
const official = join(from.node, 'bin/node');
run('strip', '--strip-all', '-o', node, official);
const libraries = librariesOf(official);
const loader = libraries.find((file) => basename(file).startsWith('ld-'));
if (loader === undefined) throw new Error(`${official} names no loader`);
run('patchelf', '--set-interpreter', to('lib', basename(loader)), '--set-rpath', to('lib'), node);
process.stdout.write(run(process.execPath, 'slim.mjs', node, to('bin/node')));
for (const file of libraries) copyFileSync(realpathSync(file), to('lib', basename(file)));
/* The addon needs none that Node does not need. */
const missing = librariesOf(to('prebuilds', platform, addon)).filter(
  (file) => !existsSync(to('lib', basename(file))),
);
if (missing.length > 0) throw new Error(`the addon needs ${missing.join(' ')} too`);

copyFileSync(join(from.node, 'LICENSE'), to('licenses/node'));
for (const name of ['libc6', 'libstdc++6', 'libgcc-s1']) {
  const file = join('/usr/share/doc', name, 'copyright');
  if (existsSync(file)) copyFileSync(realpathSync(file), to('licenses', name));
}

/* It works from where it lies. */
const version = run(to('bin/lychgate'), '--version').trim();
const probe = "process.stdout.write(new Date(0).toLocaleDateString('en', { timeZone: 'UTC' }))";
if (run(to('bin/node'), '-e', probe) !== '1/1/1970') throw new Error('ICU is not what it was');
run(to('bin/lychgate'), '--', '/bin/true');
run(to('bin/lychgate-pid1'), '--', '/bin/true');
console.log(`${version}: ${run('du', '-sb', target).split('\t')[0]} bytes at ${target}`);

/** Files of the shared libraries, the loader among them, as the loader finds them here. */
function librariesOf(file) {
  return [...run('ldd', file).matchAll(/^\s*(?:\S+ => )?(\/\S+) \(/gm)].map(([, path]) => path);
}
