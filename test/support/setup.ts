/** Before all: compile the C helpers; they are processes, not mocks. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..', '..');

export default function setup(): void {
  if (!existsSync(join(root, 'dist', 'cli.cjs'))) {
    throw new Error('dist/cli.cjs is not there; run npm run build first');
  }
  const from = join(root, 'test', 'fixtures');
  const to = join(root, 'build', 'fixtures');
  mkdirSync(to, { recursive: true });
  const names = readdirSync(from);
  const changed = (name: string) => statSync(join(from, name)).mtimeMs;
  /* Which of them includes which header is not worth knowing. */
  const headers = Math.max(0, ...names.filter((n) => n.endsWith('.h')).map(changed));
  for (const name of names.filter((n) => n.endsWith('.c'))) {
    const source = join(from, name);
    const target = join(to, name.slice(0, -2));
    const newest = Math.max(changed(name), headers);
    if (existsSync(target) && statSync(target).mtimeMs > newest) continue;
    execFileSync('cc', [
      '-std=gnu11',
      '-O1',
      '-pthread',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-o',
      target,
      source,
    ]);
  }
}
