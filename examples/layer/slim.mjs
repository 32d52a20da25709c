/**
 * Who runs it: the Dockerfile here. `node slim.mjs IN OUT`: takes out of Node's official binary
 * (ELF, 64 bits, little-endian, ICU built in) what the names and rules of other languages take,
 * nearly a third of it. ICU finds its data by a table at their begin; icupkg makes a smaller whole
 * with such a table. It is put in the place of the old one, the rest of that is cut out of the
 * file, and the segment that it lay in becomes two: no address changes. The new segment takes the
 * program header of the notes (build id), which nothing needs at run time.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const PT = { LOAD: 1, DYNAMIC: 2, NOTE: 4 };
const GLOBAL_OBJECT = 0x11; /* STB_GLOBAL, STT_OBJECT */
const DT = { STRTAB: 5, SYMTAB: 6, STRSZ: 10 };

/* Of these folders, and of the languages, only what is English or of all languages stays. */
const OF_LANGUAGES = /^(?:(?:coll|curr|lang|region|unit|zone)\/)?[a-z]{2,3}(?:_\w*)?\.res$/;
const KEPT = /(?:^|\/)(?:en|en_US|en_US_POSIX)\.res$/;
/* Old encodings (UTF-8, UTF-16, Latin-1 and ASCII are code), where words break, numbers in words. */
const NEVER = /\.cnv$|^(?:brkitr|rbnf|translit)\/|^(?:unames|confusables)\.|\.spp$/;

/** @returns {boolean} whether an item of ICU's data can go */
const dispensable = (name) => NEVER.test(name) || (OF_LANGUAGES.test(name) && !KEPT.test(name));

function segments(elf) {
  const at = Number(elf.readBigUInt64LE(32));
  const size = elf.readUInt16LE(54);
  return Array.from({ length: elf.readUInt16LE(56) }, (_, i) => {
    const h = at + i * size;
    const word = (offset) => Number(elf.readBigUInt64LE(h + offset));
    return {
      type: elf.readUInt32LE(h),
      flags: elf.readUInt32LE(h + 4),
      offset: word(8),
      address: word(16),
      inFile: word(32),
      inMemory: word(40),
      align: word(48),
    };
  });
}

function writeSegments(elf, list) {
  const at = Number(elf.readBigUInt64LE(32));
  for (const [i, s] of list.entries()) {
    const h = at + i * elf.readUInt16LE(54);
    elf.writeUInt32LE(s.type, h);
    elf.writeUInt32LE(s.flags, h + 4);
    const words = [s.offset, s.address, s.address, s.inFile, s.inMemory, s.align];
    for (const [k, word] of words.entries()) elf.writeBigUInt64LE(BigInt(word), h + 8 + 8 * k);
  }
}

const holds = (s, address) =>
  s.type === PT.LOAD && address >= s.address && address < s.address + s.inFile;

/** Where ICU's data are: an exported symbol. */
function findData(elf, list) {
  const offsetOf = (address) => {
    const s = list.find((one) => holds(one, address));
    if (s === undefined) throw new Error(`nothing of the file is at 0x${address.toString(16)}`);
    return address - s.address + s.offset;
  };
  const dynamic = list.find((s) => s.type === PT.DYNAMIC);
  if (dynamic === undefined) throw new Error('it is not linked dynamically');
  const tags = new Map();
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.inFile; at += 16)
    tags.set(Number(elf.readBigUInt64LE(at)), Number(elf.readBigUInt64LE(at + 8)));
  const names = offsetOf(tags.get(DT.STRTAB));
  const strings = elf.subarray(names, names + tags.get(DT.STRSZ));
  const name = /\0(icudt\d+_dat)\0/.exec(strings.toString('latin1'));
  if (name === null) throw new Error('it exports no ICU data (icudtNN_dat)');
  /* How many symbols there are is not said; the one that we seek is in the same segment. */
  const first = tags.get(DT.SYMTAB);
  const segment = list.find((one) => holds(one, first));
  const last = segment.offset + segment.inFile - 24;
  for (let at = offsetOf(first); at <= last; at += 24) {
    if (elf.readUInt32LE(at) !== name.index + 1 || elf[at + 4] !== GLOBAL_OBJECT) continue;
    const address = Number(elf.readBigUInt64LE(at + 8));
    const size = Number(elf.readBigUInt64LE(at + 16));
    return { name: `${name[1].slice(0, -4)}l`, address, size, offset: offsetOf(address) };
  }
  throw new Error(`the symbol ${name[1]} is not where it should be`);
}

function smaller(data, name) {
  const folder = mkdtempSync(join(tmpdir(), 'icu-'));
  try {
    /* icupkg takes the name of the whole, which is in front of all names inside, from the file's */
    const list = join(folder, 'remove.txt');
    const [file, out] = ['in', 'out'].map((n) => join(folder, n, `${name}.dat`));
    for (const one of [file, out]) mkdirSync(dirname(one));
    writeFileSync(file, data);
    const items = execFileSync('icupkg', ['-l', file], { encoding: 'utf8' }).trim().split('\n');
    const gone = items.filter(dispensable);
    if (gone.length === 0) throw new Error('nothing of ICU is dispensable: is it small already?');
    writeFileSync(list, `${gone.join('\n')}\n`);
    execFileSync('icupkg', ['-r', list, file, out], { stdio: ['ignore', 'inherit', 'inherit'] });
    return { content: readFileSync(out), items: items.length, gone: gone.length };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const [, , from, to] = process.argv;
if (to === undefined) throw new Error('usage: slim.mjs IN OUT');
const elf = readFileSync(from);
if (elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2 || elf[5] !== 1)
  throw new Error(`${from} is no ELF file of 64 bits, little-endian`);
const list = segments(elf);
const data = findData(elf, list);
const { content, items, gone } = smaller(
  elf.subarray(data.offset, data.offset + data.size),
  data.name,
);
if (content.length > data.size) throw new Error('ICU data grew');
content.copy(elf, data.offset);

const around = list.find((s) => holds(s, data.address));
/* As large as a page may be on this architecture: 4 kB, or up to 64 kB on arm64. */
const page = Math.min(around.align, 65536);
const cutFrom = Math.ceil((data.address + content.length) / page) * page;
const cutTo = Math.floor((data.address + data.size) / page) * page;
const cut = cutTo - cutFrom;
const cutAt = cutFrom - around.address + around.offset;
const spare = list.findIndex((s) => s.type === PT.NOTE);
if (spare < 0 || cut <= 0) throw new Error('no program header to spare, or nothing to cut');
list.splice(spare, 1);
for (const s of list) {
  if (s === around || s.offset < cutAt) continue;
  s.offset -= cut;
  if (s.type === PT.LOAD) s.align = page; /* what is left of it, behind the cut */
}
const end = around.address + around.inFile;
list.splice(list.indexOf(around) + 1, 0, {
  type: PT.LOAD,
  flags: around.flags,
  offset: cutAt,
  address: cutTo,
  inFile: end - cutTo,
  inMemory: end - cutTo,
  align: page,
});
around.inFile = cutFrom - around.address;
around.inMemory = around.inFile;
around.align = page;
writeSegments(elf, list);
/* No sections: what the segments hold is all that counts. */
elf.writeBigUInt64LE(0n, 40);
elf.writeUInt16LE(0, 60);
elf.writeUInt16LE(0, 62);
const whole = Buffer.concat([elf.subarray(0, cutAt), elf.subarray(cutAt + cut)]);
const last = Math.max(...list.filter((s) => s.type === PT.LOAD).map((s) => s.offset + s.inFile));
writeFileSync(to, whole.subarray(0, last), { mode: 0o755 });
console.log(`${gone} of ${items} items of ICU left out, ${from}: ${elf.length} bytes, now ${last}`);
