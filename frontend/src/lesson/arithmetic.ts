/** The lesson's arithmetic by itself, for tests that compare it with Python's. */

export { descend, descendAt } from "./descent";
export { lessonMap } from "./lr_map";
export { limitOf, problemOf } from "./problem";
export { rangeTest } from "./range_test";
export { runOf } from "./run";
