/** One view of a study, below its tabs. */

import type { StudyDetail } from "../contract";
import type { View } from "../state";

export interface Panel {
  readonly element: HTMLElement;
  /** Show the study as it stands now, the way the reader looks at it; called again when either has changed. */
  show(study: StudyDetail, view: View): void;
  stop(): void;
}

/** Put a change of what the reader looks at into the address. */
export type Change = (change: Partial<View>) => void;
