/**
 * The second, deeper read: only of suspects and their parents. Everything is
 * optional; what may not be read is noted, what is gone is no error.
 */
import { readFileSync, readlinkSync } from 'node:fs';

export interface Status {
  threads: number;
  tracerPid: number;
  /** In each PID namespace, the innermost last. */
  nsPids: readonly number[];
  /** Voluntary and involuntary together: unchanged = it did not run. */
  switches: number;
  /** Masks, bit n-1 for signal n. */
  caught: bigint;
  ignored: bigint;
  blocked: bigint;
}

const TRACER = '\nTracerPid:';

const number = (text: string, key: string) => {
  const m = new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text);
  return m ? Number(m[1]) : 0;
};
const mask = (text: string, key: string) => {
  const m = new RegExp(`^${key}:\\s+([0-9a-f]{1,16})$`, 'm').exec(text);
  return m ? BigInt(`0x${m[1]}`) : 0n;
};

/** /proc/PID/status (proc_pid_status(5)); keys that are missing count as 0. */
export function parseStatus(text: string): Status {
  const ns = /^NSpid:\s+(.*)$/m.exec(text)?.[1] ?? '';
  return {
    threads: number(text, 'Threads'),
    tracerPid: number(text, 'TracerPid'),
    nsPids: ns.split(/\s+/).filter(Boolean).map(Number),
    switches: number(text, 'voluntary_ctxt_switches') + number(text, 'nonvoluntary_ctxt_switches'),
    caught: mask(text, 'SigCgt'),
    ignored: mask(text, 'SigIgn'),
    blocked: mask(text, 'SigBlk'),
  };
}

/** PROC_PID_INIT_INO of the kernel: the machine's own PID namespace. */
const FIRST_PID_NAMESPACE = 'pid:[4026531836]';

export class Facts {
  readonly proc: string;
  /** What was refused, by file. */
  readonly refused = new Map<string, number>();

  constructor(root: string) {
    this.proc = `${root}/proc`;
  }

  /** null when it is gone or not ours to read. As UTF-8, which Node reads in one call. */
  text(pid: number, file: string): string | null {
    try {
      return readFileSync(`${this.proc}/${pid}/${file}`, 'utf8');
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EACCES' || code === 'EPERM') {
        const name = file.replace(/^task\/\d+\//, '');
        this.refused.set(name, (this.refused.get(name) ?? 0) + 1);
      }
      return null;
    }
  }

  status(pid: number, tid: number | null = null): Status | null {
    const text = this.text(pid, tid === null ? 'status' : `task/${tid}/status`);
    return text ? parseStatus(text) : null;
  }

  /** 0 when nobody traces it. Asked of many: nothing else of the file is looked at. */
  tracer(pid: number): number {
    const text = this.text(pid, 'status');
    return text ? Number.parseInt(text.slice(text.indexOf(TRACER) + TRACER.length), 10) || 0 : 0;
  }

  command(pid: number): string | null {
    const text = this.text(pid, 'cmdline');
    if (!text) return null;
    return text.replace(/\0+$/, '').replaceAll('\0', ' ');
  }

  /** Function and kernel stack, best effort: both want privileges. */
  where(pid: number, tid: number | null): string | null {
    const at = tid === null ? '' : `task/${tid}/`;
    const wchan = this.text(pid, `${at}wchan`)?.trim();
    const stack = (this.text(pid, `${at}stack`) ?? '')
      .split('\n')
      .map((line) => line.replace(/^\[<[^>]*>\]\s*/, '').replace(/\+0x.*$/, ''))
      .filter(Boolean)
      .slice(0, 6);
    if (stack.length > 0) return stack.join(' < ');
    return wchan && wchan !== '0' ? wchan : null;
  }

  /** This /proc is the machine's own; so is a test tree, and one that does not tell. */
  get ofMachine(): boolean {
    try {
      return readlinkSync(`${this.proc}/self/ns/pid`) === FIRST_PID_NAMESPACE;
    } catch {
      return true;
    }
  }

  /** Is this /proc of our own PID namespace? */
  isOwn(self: number): boolean {
    try {
      return readlinkSync(`${this.proc}/self`) === String(self);
    } catch {
      return false;
    }
  }

  link(pid: number, file: string): string | null {
    try {
      return readlinkSync(`${this.proc}/${pid}/${file}`);
    } catch {
      return null;
    }
  }
}
