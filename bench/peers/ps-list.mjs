import psList from 'ps-list';

const start = process.hrtime.bigint();
const processes = (await psList()).length;
console.log(JSON.stringify({ processes, passMs: Number(process.hrtime.bigint() - start) / 1e6 }));
