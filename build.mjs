/**
 * Who runs it: `npm run build:js`. One CommonJS file for each door: what a command
 * does not need is not read at its start. The addon and the other doors stay outside.
 */
import { build } from 'esbuild';

const doors = { './freezer': './freezer.cjs' };

await build({
  entryPoints: { cli: 'src/cli.ts', index: 'src/index.ts', freezer: 'src/freezer/index.ts' },
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
        onResolve({ filter: /^\.\/\w+$/ }, ({ path, importer }) =>
          importer.endsWith('/src/cli.ts') && Object.hasOwn(doors, path)
            ? { path: doors[path], external: true }
            : undefined,
        );
      },
    },
  ],
});
