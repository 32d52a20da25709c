/**
 * Who runs it: `npm run build:js`. One CommonJS file for each door: what a command
 * does not need is not read at its start. The addon and the other doors stay outside.
 */
import { createRequire } from 'node:module';
import { build } from 'esbuild';

/** importer -> what it leaves outside, to be loaded when it comes to that */
const lazy = {
  '/src/cli.ts': {
    './freezer': './freezer.cjs',
    './plan': './bake.cjs',
    './reap': './reap.cjs',
    './scan': './scan.cjs',
  },
  '/src/init/watches.ts': { './neglected': './neglected.cjs' },
  '/src/plan/asked.ts': { './policy': './policy.cjs' },
  '/src/plan/live.ts': { './asked': './asked.cjs' },
  '/src/scan/command.ts': { './prometheus': './prometheus.cjs' },
};

const entryPoints = {
  cli: 'src/cli.ts',
  index: 'src/index.ts',
  bake: 'src/plan/index.ts',
  freezer: 'src/freezer/index.ts',
  neglected: 'src/init/neglected.ts',
  policy: 'src/plan/policy.ts',
  reap: 'src/reap/index.ts',
  scan: 'src/scan/index.ts',
  prometheus: 'src/scan/prometheus.ts',
};
/** What stands between a container's start and COMMAND: V8 reads less of it so. */
const small = { plan: 'src/plan/live.ts', asked: 'src/plan/asked.ts' };

const settings = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  legalComments: 'none',
  logLevel: 'warning',
  plugins: [
    {
      name: 'doors',
      setup({ onResolve }) {
        onResolve({ filter: /^\.\/\w+$/ }, ({ path, importer }) => {
          const [, doors = {}] = Object.entries(lazy).find(([end]) => importer.endsWith(end)) ?? [];
          return Object.hasOwn(doors, path) ? { path: doors[path], external: true } : undefined;
        });
      },
    },
  ],
};
await build({ ...settings, entryPoints });
const { outputFiles } = await build({
  ...settings,
  entryPoints: ['src/plan/plain.ts'],
  write: false,
});
const made = { exports: {} };
new Function('module', 'require', outputFiles[0].text)(made, createRequire(import.meta.url));
const define = { PLAIN_PLANS: JSON.stringify(made.exports.plainPlans) };
/* require() for import(): that would start the loader of modules, for many milliseconds */
const supported = { 'dynamic-import': false };
await build({ ...settings, entryPoints: small, minify: true, define, supported });
