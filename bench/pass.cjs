/* pass.cjs look|native: one pass inside a fresh process. Prints {"processes", "zombies", "passMs"}. */
const { join } = require('node:path');

const Z = 'Z'.charCodeAt(0);
const timed = (work) => {
  const start = process.hrtime.bigint();
  const result = work();
  return { ...result, passMs: Number(process.hrtime.bigint() - start) / 1e6 };
};

if (process.argv[2] === 'native') {
  const { scanProc } = require(join(process.cwd(), 'build/Release/lychgate.node'));
  const read = () => {
    const { count, state } = scanProc('/proc');
    return { processes: count, zombies: state.subarray(0, count).filter((s) => s === Z).length };
  };
  console.log(JSON.stringify(timed(read)));
} else {
  const { Scanner } = require(join(process.cwd(), 'dist/scan.cjs'));
  const scanner = new Scanner({});
  console.log(
    JSON.stringify(
      timed(() => {
        const { processes, zombies } = scanner.look();
        return { processes, zombies };
      }),
    ),
  );
}
