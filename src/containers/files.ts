/**
 * Reading what engines and containers left behind. Parts of it lie where a
 * container may write: no file is believed to be small, regular or well-formed.
 */
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs';

const LIMIT = 1024 * 1024;
const LINKS = 40; /* as the kernel: path_resolution(7) */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;

/**
 * Where a path of that system lies in ours: links and `..` do not lead out of
 * the root. On the live system (root '') the kernel goes the way, through
 * /proc/PID/cwd into other mount namespaces as well.
 */
function locate(root: string, path: string): string | null {
  if (root === '') return path;
  const done: string[] = [];
  const todo = path.split('/').reverse();
  let links = 0;
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      done.pop();
      continue;
    }
    done.push(part);
    const target = rawLink(`${root}/${done.join('/')}`);
    if (target === null) continue;
    links += 1;
    if (links > LINKS) return null;
    if (target.startsWith('/')) done.length = 0;
    else done.pop();
    todo.push(...target.split('/').reverse());
  }
  return `${root}/${done.join('/')}`;
}

function rawLink(file: string): string | null {
  try {
    return readlinkSync(file);
  } catch {
    return null;
  }
}

/** Where a link points to, as it is written. @returns null when it is none */
export function readLink(root: string, path: string): string | null {
  return rawLink(`${root}${path}`);
}

/** @returns the first MiB of a regular file; null when it is none or cannot be read */
export function readText(root: string, path: string): string | null {
  let fd: number | undefined;
  try {
    const file = locate(root, path);
    /* before the open: that of a device may do something already */
    if (file === null || !lstatSync(file).isFile()) return null;
    fd = openSync(file, FLAGS);
    return fstatSync(fd).isFile() ? readAll(fd) : null;
  } catch {
    return null;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function readAll(fd: number): string {
  const chunks: Buffer[] = [];
  let size = 0;
  while (size < LIMIT) {
    const chunk = Buffer.allocUnsafe(Math.min(65536, LIMIT - size));
    const n = readSync(fd, chunk, 0, chunk.length, null);
    if (n === 0) break;
    chunks.push(chunk.subarray(0, n));
    size += n;
  }
  return Buffer.concat(chunks).toString('utf8');
}

export type Json = Readonly<Record<string, unknown>>;

/** @returns null for anything but a JSON object of at most 1 MiB */
export function readJson(root: string, path: string): Json | null {
  const text = readText(root, path);
  return text === null ? null : parseObject(text);
}

/** @returns null for anything but the text of a JSON object */
export function parseObject(text: unknown): Json | null {
  if (typeof text !== 'string') return null;
  try {
    return asObject(JSON.parse(text));
  } catch {
    return null;
  }
}

export function asObject(value: unknown): Json | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : null;
}

/** @returns [] when there is no such folder */
export function list(root: string, path: string): string[] {
  try {
    return readdirSync(locate(root, path) ?? '');
  } catch {
    return [];
  }
}
