/** Drawing at the pace of the screen, however fast values come. */

export interface Newest<Value> {
  /** Keep a value; it is drawn in the next frame unless a newer one comes before. */
  set(value: Value): void;
  /** Forget what has not been drawn. */
  stop(): void;
}

/** Keep the newest value that comes and draw it once per animation frame. */
export function newest<Value>(draw: (value: Value) => void): Newest<Value> {
  let frame = 0;
  let latest: Value;
  return {
    set(value) {
      latest = value;
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        draw(latest);
      });
    },
    stop() {
      cancelAnimationFrame(frame);
      frame = 0;
    },
  };
}
