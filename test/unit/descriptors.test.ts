import { expect, test } from 'vitest';
import { type Descriptor, inherited } from '../../src/init/descriptors';

const d = (fd: number, target: string, nonblocking = false, changed = 0n): Descriptor => ({
  fd,
  target,
  nonblocking,
  changed,
});
const pipe = (a: number, b: number, id: number, nonblocking: boolean, changed: bigint) => [
  d(a, `pipe:[${id}]`, nonblocking, changed),
  d(b, `pipe:[${id}]`, nonblocking, changed),
];
const EPOLL = 'anon_inode:[eventpoll]';
const EVENTFD = 'anon_inode:[eventfd]';

/* As seen in Node 24: three loops, io_uring, the lock pipe. */
const NODE = [
  d(0, '/dev/null'),
  d(1, 'pipe:[1]'),
  d(2, 'pipe:[2]'),
  d(3, EPOLL),
  d(4, 'anon_inode:[io_uring]'),
  ...pipe(5, 6, 100, false, 50n),
  ...pipe(7, 8, 101, true, 50n),
  d(9, EVENTFD, true),
  d(11, EPOLL),
  ...pipe(13, 14, 102, true, 51n),
  d(15, EVENTFD, true),
  d(16, EPOLL),
  ...pipe(18, 19, 103, true, 52n),
  d(20, EVENTFD, true),
];

test('a bare start: nothing is inherited', () => {
  expect(inherited(NODE)).toEqual([]);
});

test('files, sockets, single pipe ends, blocking eventfds are', () => {
  const more = [
    d(10, '/data'),
    d(12, 'socket:[7]'),
    d(17, 'pipe:[9]', true),
    d(30, EVENTFD),
    d(251, '/dev/pts/0'),
  ];
  expect(inherited([...NODE, ...more])).toEqual([10, 12, 17, 30, 251]);
});

test('of pipes that fit, the oldest are', () => {
  const older = [...pipe(21, 22, 90, true, 10n), ...pipe(23, 24, 91, false, 11n)];
  expect(inherited([...older, ...NODE])).toEqual([21, 22, 23, 24]);
});

test('a loop that is half made takes no inherited pipe away', () => {
  const half = NODE.filter((x) => x.fd < 17);
  expect(inherited([...half, ...pipe(21, 22, 90, true, 10n)])).toEqual([21, 22]);
});

test('outside Node everything is', () => {
  expect(inherited([d(0, 'a'), d(3, 'b'), ...pipe(4, 5, 1, false, 0n)])).toEqual([3, 4, 5]);
});
