// A signal for a request that stalls: no byte for a while, or no end for much longer.

/** How many times the wait for a byte a whole answer may take: dripping for ever is no answer either. */
const WHOLE = 10;

/** Fires when `touch` was not called for so many seconds, after ten times as many in all, or when the outer signal does. */
export function idleSignal(seconds: number, outer?: AbortSignal): {
  signal: AbortSignal;
  /** A byte came. */
  touch(): void;
  /** No more waiting: the request has ended. */
  stop(): void;
  /** Why it fired by itself, if it did. */
  expired(): string | undefined;
} {
  const own = new AbortController();
  let reason: string | undefined;
  const fire = (why: string) => {
    reason = why;
    own.abort();
  };
  const noByte = () => setTimeout(fire, 1000 * seconds, `no byte in ${seconds} s`);
  let timer = noByte();
  const whole = setTimeout(fire, WHOLE * 1000 * seconds, `no whole answer in ${WHOLE * seconds} s`);
  return {
    signal: outer ? AbortSignal.any([own.signal, outer]) : own.signal,
    touch() {
      clearTimeout(timer);
      timer = noByte();
    },
    stop() {
      clearTimeout(timer);
      clearTimeout(whole);
    },
    expired: () => reason,
  };
}
