/** Who runs it: `npm run build:types`. One file of types for each door, of what it exports alone. */
import dts from 'rollup-plugin-dts';

const doors = {
  index: 'src/index.ts',
  freezer: 'src/freezer/index.ts',
  reap: 'src/reap/index.ts',
  scan: 'src/scan/index.ts',
};

/* Each by itself: together they would share more files. */
export default Object.entries(doors).map(([name, input]) => ({
  input,
  output: { file: `dist/${name}.d.ts`, format: 'es' },
  plugins: [dts()],
}));
