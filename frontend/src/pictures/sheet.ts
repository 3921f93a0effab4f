/** Canvases that fill their box sharply, whatever the screen's pixels, stacked so that one can change under another. */

import { element } from "../kit/element";
import { onThemeChange } from "../kit/theme";

export interface Layer {
  readonly canvas: HTMLCanvasElement;
  /** Its drawing context, in CSS pixels. */
  readonly context: CanvasRenderingContext2D;
  /** Take away what is drawn. */
  clear(): void;
}

export interface Sheet {
  readonly layers: readonly Layer[];
  /** The size of the box in CSS pixels. */
  readonly width: number;
  readonly height: number;
  /** Device pixels in a CSS pixel. */
  readonly ratio: number;
  /** Return the layers as one picture on the ground of the page. */
  flattened(ground: string): HTMLCanvasElement;
  /** Stop following the box. */
  stop(): void;
}

/** Fill a box with layers of canvas; `redraw` is called when its size, the screen or the theme has changed. */
export function sheet(box: HTMLElement, count: number, redraw: () => void): Sheet {
  const layers = Array.from({ length: count }, () => layer(box));
  const size = { width: 0, height: 0, ratio: 1 };
  const fit = () => {
    const [width, height, ratio] = [box.clientWidth, box.clientHeight, globalThis.devicePixelRatio || 1];
    if (!width || !height || (width === size.width && height === size.height && ratio === size.ratio)) return;
    Object.assign(size, { width, height, ratio });
    for (const { canvas, context } of layers) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    redraw();
  };
  const observer = new ResizeObserver(fit);
  observer.observe(box);
  const stopTheme = onThemeChange(() => size.width && redraw());
  queueMicrotask(fit);
  return {
    layers,
    get width() {
      return size.width;
    },
    get height() {
      return size.height;
    },
    get ratio() {
      return size.ratio;
    },
    flattened: (ground) => flattened(layers, ground),
    stop() {
      observer.disconnect();
      stopTheme();
    },
  };
}

function layer(box: HTMLElement): Layer {
  const canvas = element("canvas", { class: "layer", "aria-hidden": "true" });
  box.append(canvas);
  const context = canvas.getContext("2d")!;
  return {
    canvas,
    context,
    clear() {
      context.save();
      context.resetTransform();
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.restore();
    },
  };
}

function flattened(layers: readonly Layer[], ground: string): HTMLCanvasElement {
  const whole = document.createElement("canvas");
  whole.width = layers[0]?.canvas.width ?? 0;
  whole.height = layers[0]?.canvas.height ?? 0;
  const context = whole.getContext("2d")!;
  context.fillStyle = ground;
  context.fillRect(0, 0, whole.width, whole.height);
  for (const { canvas } of layers) context.drawImage(canvas, 0, 0);
  return whole;
}
