/** Asking again and again, while somebody looks. */

/** Do some work now, and again some time after it is done, as long as the page is seen and the work says so.
 *
 * @param work - is given a signal that tells when nobody waits any more; returns whether to go on.
 * @param pause - the time between the end of one round and the next, in milliseconds.
 * @returns a function that ends it.
 */
export function keepAsking(work: (signal: AbortSignal) => Promise<boolean>, pause = 1000): () => void {
  const ended = new AbortController();
  let timer: number | undefined;
  let underWay = false;
  let done = false;

  async function round(): Promise<void> {
    if (underWay || done || document.hidden) return;
    underWay = true;
    try {
      done = !(await work(ended.signal));
    } finally {
      underWay = false;
    }
    if (!done && !ended.signal.aborted) timer = window.setTimeout(() => void round(), pause);
  }

  document.addEventListener("visibilitychange", () => {
    window.clearTimeout(timer);
    void round();
  }, { signal: ended.signal });
  void round();
  return () => {
    window.clearTimeout(timer);
    ended.abort();
  };
}
