/** Asking again and again, while somebody looks. */

/** Milliseconds until the next question about what is under way. */
export const SOON = 1000;
/** The same where nothing is, though something may begin. */
export const LATER = 5000;

/** Do some work now, and again some time after it is done, as long as the page is seen.
 *
 * @param work - is given a signal that tells when nobody waits any more; returns the milliseconds until the next round.
 * @returns a function that ends it.
 */
export function keepAsking(work: (signal: AbortSignal) => Promise<number>): () => void {
  const ended = new AbortController();
  let timer: number | undefined;
  let underWay = false;

  async function round(): Promise<void> {
    if (underWay || document.hidden) return;
    underWay = true;
    let pause = LATER;
    try {
      pause = await work(ended.signal);
    } finally {
      underWay = false;
    }
    if (!ended.signal.aborted) timer = window.setTimeout(() => void round(), pause);
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
