/** The smallest problem there is, as `lrscout.lesson.problem` has it: noisy points on a line, and the exact answer. */

/** What the lesson starts from, as the server or the notebook gives it. */
export interface Draw {
  readonly x: readonly number[];
  /** The height of each point above the true line. */
  readonly noise: readonly number[];
  readonly true: Line;
  readonly start: Line;
}

export interface Line {
  readonly w: number;
  readonly b: number;
}

export interface Problem {
  /** The points in single precision, as the engines use them. */
  readonly x: Float32Array;
  readonly y: Float32Array;
  readonly true: Line;
  readonly leastSquares: Line;
  readonly lowestLoss: number;
  /** How far above the lowest loss a line may lie that in single precision is as good as the best one. */
  readonly rounding: number;
  /** The means of x and of its square, which with one make up half of the loss's Hessian. */
  readonly meanX: number;
  readonly meanXX: number;
  readonly curvatures: Curvatures;
}

/** The eigenvalues of the loss's Hessian, along the valley and across it, with the direction of the second. */
export interface Curvatures {
  readonly flat: number;
  readonly steep: number;
  readonly across: Line;
}

/** The distance from 1 to the next number in single precision. */
const EPSILON = 2 ** -23;

/** Return the problem whose points lie on the true line plus so many times the noise. */
export function problemOf(draw: Draw, noiseScale: number): Problem {
  const x = Float32Array.from(draw.x);
  const y = Float32Array.from(draw.x, (at, index) => draw.true.w * at + draw.true.b + noiseScale * draw.noise[index]!);
  const meanX = mean(x, (at) => at);
  const meanXX = mean(x, (at) => at * at);
  const leastSquares = leastSquaresOf(x, y, meanX);
  return {
    x,
    y,
    true: draw.true,
    leastSquares,
    lowestLoss: mean(x, (at, index) => (leastSquares.w * at + leastSquares.b - y[index]!) ** 2),
    rounding: EPSILON ** 2 * mean(y, (height) => height ** 2),
    meanX,
    meanXX,
    curvatures: curvaturesOf(meanX, meanXX),
  };
}

/** Return the mean squared error of a line, in double precision, so that a diverging one still has a loss. */
export function lossAt({ leastSquares, lowestLoss, meanX, meanXX }: Problem, w: number, b: number): number {
  const [awayW, awayB] = [w - leastSquares.w, b - leastSquares.b];
  return lowestLoss + awayW ** 2 * meanXX + 2 * awayW * awayB * meanX + awayB ** 2;
}

/**
 * Return the learning rate above which gradient descent lands farther away with every step.
 *
 * Source: B. Polyak, "Some methods of speeding up the convergence of iteration methods" (1964), for the momentum.
 */
export function limitOf(problem: Problem, momentum: number): number {
  return (2 * (1 + momentum)) / problem.curvatures.steep;
}

function leastSquaresOf(x: Float32Array, y: Float32Array, meanX: number): Line {
  const meanY = mean(y, (height) => height);
  const spread = mean(x, (at) => (at - meanX) ** 2);
  const w = mean(x, (at, index) => (at - meanX) * (y[index]! - meanY)) / spread;
  return { w, b: meanY - w * meanX };
}

function curvaturesOf(meanX: number, meanXX: number): Curvatures {
  const middle = meanXX + 1;
  const reach = Math.hypot(meanXX - 1, 2 * meanX);
  const steep = middle + reach;
  const length = Math.hypot(2 * meanX, steep - 2 * meanXX);
  return { flat: (4 * (meanXX - meanX ** 2)) / steep, steep, across: { w: (2 * meanX) / length, b: (steep - 2 * meanXX) / length } };
}

function mean(values: Float32Array, of: (value: number, index: number) => number): number {
  let sum = 0;
  for (let index = 0; index < values.length; index += 1) sum += of(values[index]!, index);
  return sum / values.length;
}
